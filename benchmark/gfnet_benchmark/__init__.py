"""Benchmarks: what a step costs, against whom, and the pages that show it."""
