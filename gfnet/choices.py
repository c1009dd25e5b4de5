"""Lists of choices that options and functions share; light, so that ``gfnet --help`` stays fast."""

from __future__ import annotations

from typing import Literal

Solver = Literal["geometric", "optimal"]
"""How thresholds are found: by the papers' rule, or as the most accurate ones at the same average cost."""
ThresholdSource = Literal["auto", "saved", "search"]
"""Whose thresholds an evaluation uses."""
Patches = Literal["policy", "random", "centre"]
"""Where focus steps look."""
Amp = Literal["off", "bf16", "fp16"]
"""Mixed precision of training."""
OnNaN = Literal["stop", "skip"]
"""What training does with a batch whose loss is NaN or infinite."""
