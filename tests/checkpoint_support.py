"""What the tests of both checkpoint layouts share."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gfnet.checkpoint import load_checkpoint
from gfnet.errors import CheckpointError
from gfnet.model import GFNet
from gfnet.results import BudgetPoint, Evaluation

EVALUATION = Evaluation(
    images=50,
    macs=(1e6, 2.5e6, 4e6),
    anytime_top1=(40.0, 60.0, 70.0),
    budgeted=(
        BudgetPoint(1.2e6, (0.25, 0.5, -1e8), 50.0, 1.25e6, (0.5, 0.25, 0.25)),
        BudgetPoint(3.1e6, (1e8, 1e8, -1e8), None, 3e6, (0.0, 0.0, 1.0)),
    ),
)


def assert_same_weights(ours: GFNet, theirs: GFNet) -> None:
    expected, found = ours.state_dict(), theirs.state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype, key
        assert torch.equal(found[key], value), key


def refusal(path: Path) -> str:
    """The message that ``path`` is refused with: one line that begins with its name."""
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")
