"""How large things may be that a file says: far beyond any network, and small enough that no reader is overwhelmed."""

from __future__ import annotations

MOST_STEPS = 64
MOST_CLASSES = 100_000
MOST_BUDGETS = 500
LARGEST_IMAGE = 4096
"""Side, pixels."""
LARGEST_RESIZE = 4
"""Of a photo's shorter side to the square that is cut out of it."""
LARGEST_HIDDEN = 16_384
"""Width of a recurrent layer."""
LONGEST_LABEL = 1000
"""Characters of a class's name."""
LONGEST_ARCHITECTURE = 200
"""Characters of a backbone's name, so that a network's name with its patch size and steps is no longer than a text."""
LONGEST_TEXT = 300
"""Characters of any other name."""
LONGEST_MESSAGE = 2000
