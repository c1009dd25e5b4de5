"""What the tests of both checkpoint layouts share."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gfnet.checkpoint import load_checkpoint
from gfnet.errors import CheckpointError
from gfnet.files.digests import UNKNOWN, with_own_digest
from gfnet.inference.budgets import BudgetPoint, Evaluation
from gfnet.network.model import GFNet

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


class Altered:
    """A checkpoint's bytes, taken apart.

    Attributes:
        header: what safetensors says of each tensor, by name.
        content: what the checkpoint says, without its digest.
        body: the numbers.
    """

    def __init__(self, file: bytes) -> None:
        (length,) = struct.unpack("<Q", file[:8])
        self.header: dict[str, Any] = json.loads(file[8 : 8 + length])
        self.content: dict[str, Any] = json.loads(self.header.pop("__metadata__")["gfnet"])
        self.content.pop("digest", None)
        self.body = file[8 + length :]

    def joined(self, text: str | None = None) -> bytes:
        """The file again.

        Args:
            text: in place of the content's JSON.
        """
        text = json.dumps(self.content) if text is None else text
        header = json.dumps({"__metadata__": {"gfnet": text}, **self.header}).encode()
        header += b" " * (-len(header) % 8)
        return struct.pack("<Q", len(header)) + header + self.body

    def sealed(self, text: str | None = None) -> bytes:
        """The file with a digest that holds: what is wrong with it is not its digest."""
        text = json.dumps(self.content) if text is None else text
        whole = self.joined(text.replace("{", f'{{"digest": "{UNKNOWN}", ', 1))
        return with_own_digest(whole)

    def old(self) -> bytes:
        """The file as older releases wrote it, with a digest of the weights alone."""
        digest = hashlib.sha256()
        for key in sorted(self.header):
            begin, end = self.header[key]["data_offsets"]
            digest.update(key.encode() + self.body[begin:end])
        return self.joined(json.dumps({**self.content, "sha256": digest.hexdigest()}))


def altered(file: Path, change: Callable[[Altered], Any]) -> Altered:
    """A checkpoint with something changed in it."""
    parts = Altered(file.read_bytes())
    change(parts)
    return parts
