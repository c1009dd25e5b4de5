"""The types of values in files that pydantic checks: bundles' manifests, results, checkpoints."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from gfnet.limits import LONGEST_LABEL, LONGEST_MESSAGE, LONGEST_TEXT, MOST_STEPS

_ONE_LINE = r"^[^\u0000-\u001f\u007f]+$"

Value = TypeVar("Value")

Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT, pattern=_ONE_LINE)]
"""A name, or what belongs to one: one line."""
Message = Annotated[str, Field(min_length=1, max_length=LONGEST_MESSAGE, pattern=_ONE_LINE)]
"""A sentence, a command or a path: one line."""
Label = Annotated[str, Field(max_length=LONGEST_LABEL)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
"""Also an ``Int`` of every reader in another language."""
Amount = Annotated[int, Field(ge=0, le=2**53)]
"""Of bytes, images or iterations; also exact as a floating-point number."""
Step = Annotated[int, Field(ge=1, le=MOST_STEPS)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Percent = Annotated[float, Field(ge=0, le=100)]
PerStep = Annotated[tuple[Value, ...], Field(max_length=MOST_STEPS)]


class Record(BaseModel):
    """Values of a file: each has a name that is known, and numbers are finite."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
