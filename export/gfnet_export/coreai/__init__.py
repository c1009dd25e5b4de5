"""Writes Apple's Core AI format, ``.aimodel``; :mod:`gfnet_export.runtime.core_ai` runs it."""
