"""Adaptive inference on any runtime: who stops where, photos in, traces out.  Needs numpy and pillow, not torch."""
