"""Measured runs as tables, charts and pages."""
