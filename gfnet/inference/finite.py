"""Where a network's values enter decisions: NaN and infinite ones end the work.  Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gfnet.errors import NetworkError


def check_finite(values: np.ndarray, source: str, kind: str, images: Sequence[str]) -> None:
    """Refuse values that are NaN or infinite, before anything is decided by them.

    The adaptive loop asks here on every runtime, and the evaluation of whole splits asks here too.

    Args:
        values: float [B, ...], a row for each image.
        source: what gave them, e.g. ``step 2``.
        kind: what they are, e.g. ``logits``.
        images: B names; an empty one is left out of the message.

    Raises:
        NetworkError: names the first image whose values are not finite.
    """
    finite = np.isfinite(values)
    if finite.all():
        return
    row = int(np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))[0])
    found = "NaN" if np.isnan(values[row]).any() else "infinite"
    image = f" for {images[row]}" if images[row] else ""
    raise NetworkError(
        f"{source} gives {found} {kind}{image}: the network's weights are damaged, its training diverged, or its "
        "values exceed the range of float16; take another checkpoint, or ask `gfnet verify` about an exported network"
    )
