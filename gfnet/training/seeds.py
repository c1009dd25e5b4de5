"""Randomness as a function of the place in a run.

Every epoch and every iteration seeds its own generators from the run's seed and its position.  So a run that
is resumed, on however many ranks, draws what the uninterrupted one would have drawn, and no generator's
state has to be stored.
"""

from __future__ import annotations

import numpy as np


def derive_seed(seed: int, *position: int) -> int:
    """A 63-bit seed that depends on all arguments and looks unrelated for neighbouring ones."""
    words = np.random.SeedSequence([seed, *position]).generate_state(2, np.uint32)
    return int(words[0]) << 31 ^ int(words[1])
