"""The core's larger commands, one file each; imported by :mod:`gfnet.cli` when they are asked for."""
