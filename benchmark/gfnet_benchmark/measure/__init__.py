"""Measuring: what is measured, in which order, with which clock, on which machine."""
