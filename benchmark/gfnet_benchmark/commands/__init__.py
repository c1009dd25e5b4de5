"""The commands ``gfnet bench`` and ``gfnet demo``; nothing heavy is imported before one runs."""
