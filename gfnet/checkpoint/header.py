"""The header of this project's checkpoints: all that a file says besides its tensors, written and read with care.

It is one JSON object.  Nothing in it is believed before its types, ranges and amounts are checked, and no file is
written whose header this reader would refuse.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from gfnet.config import ModelConfig
from gfnet.errors import CheckpointError, ConfigError
from gfnet.escaping import one_line
from gfnet.files.digests import UNKNOWN
from gfnet.files.fields import Record, Sha256
from gfnet.files.versioned import check_version, validate
from gfnet.inference.budgets import Evaluation
from gfnet.limits import LONGEST_LABEL

FORMAT_VERSION: Literal[1] = 1
Component = Literal["global_encoder", "local_encoder", "classifier", "policy"]

_MOST_BYTES = 16 * 1024 * 1024
_MOST_VALUES = 1_000_000
_DEEPEST = 32


class _Facts(Record):
    """What has a type of its own.

    Attributes:
        digest: of the whole file; see :mod:`gfnet.files.digests`.
        sha256: of the weights alone, in files of older releases.
    """

    format_version: Literal[1]
    digest: Sha256 | None = None
    sha256: Sha256 | None = None
    config: ModelConfig
    evaluation: Evaluation | None
    untrained: Annotated[tuple[Component, ...], Field(max_length=4)]

    @model_validator(mode="after")
    def _belongs_together(self) -> _Facts:
        steps = self.config.steps
        if self.evaluation is not None and len(self.evaluation.macs) != steps:
            raise ValueError(f"evaluation is of {len(self.evaluation.macs)} steps, but the network has {steps}")
        return self


_APART = ("labels", "recipe", "training")  # any text, any JSON: not pydantic's, whose strings are UTF-8 alone


@dataclass(frozen=True)
class Header:
    """What a checkpoint says besides its tensors; see :class:`gfnet.checkpoint.Checkpoint`.

    Attributes:
        digest: of the whole file, 64 hexadecimal digits; ``None`` in files of older releases.
        weights_sha256: of the weights alone; only in those.
        training: the values of a run's state, if the file holds one.
    """

    config: ModelConfig
    labels: tuple[str, ...] | None = None
    evaluation: Evaluation | None = None
    recipe: Mapping[str, Any] | None = None
    untrained: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None
    digest: str | None = None
    weights_sha256: str | None = None


def header_text(header: Header) -> str:
    """A header as JSON, its digest still unknown and before anything else that could be alike.

    Raises:
        CheckpointError: it holds what no reader would take.
    """
    content = {
        "digest": UNKNOWN,
        "format_version": FORMAT_VERSION,
        "config": header.config.to_dict(),
        "labels": header.labels,
        "evaluation": None if header.evaluation is None else dataclasses.asdict(header.evaluation),
        "recipe": header.recipe,
        "untrained": header.untrained,
    }
    if header.training is not None:
        content["training"] = header.training
    try:
        text = json.dumps(content, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(f"cannot be written into a checkpoint: {one_line(error)}") from error
    read_header(text)
    return text


def read_header(text: str) -> Header:
    """A header from its JSON.

    Raises:
        CheckpointError: it is not a header, of another version, or has impossible values.
    """
    content = _parse(text)
    check_version(
        content,
        "format_version",
        FORMAT_VERSION,
        lambda what: CheckpointError(f"{what}; use the release that wrote it"),
    )
    try:
        apart = {name: content.pop(name) for name in _APART if name in content or name != "training"}
        facts = validate(_Facts, json.dumps(content), _damaged)
        labels = _labels(apart["labels"], facts.config.num_classes)
        for name in ("recipe", "training"):
            if not isinstance(apart.get(name), dict | None):
                raise ValueError(f"{name} has no names")
    except KeyError as error:
        raise _damaged(f"{error} is missing") from error
    except ConfigError as error:
        raise CheckpointError(str(error)) from error
    except ValueError as error:
        raise _damaged(error) from error
    return Header(
        facts.config,
        labels,
        facts.evaluation,
        apart["recipe"],
        facts.untrained,
        apart.get("training"),
        facts.digest,
        facts.sha256,
    )


def _damaged(what: object) -> CheckpointError:
    return CheckpointError(f"its metadata is damaged ({one_line(what)}); copy it again")


def _parse(text: str) -> dict[str, Any]:
    """JSON of bounded size and depth, all of whose numbers are finite."""
    if len(text) > _MOST_BYTES or sum(map(text.count, ",[{")) > _MOST_VALUES:
        raise _damaged("larger than that of any network")
    try:
        content = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise _damaged(error) from error
    if not isinstance(content, dict):
        raise _damaged("not an object")
    waiting: list[tuple[Any, int]] = [(content, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise _damaged("nested too deeply")
        inside = value.values() if isinstance(value, dict) else value
        waiting += [(item, depth + 1) for item in inside if isinstance(item, dict | list)]
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _labels(value: Any, num_classes: int) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) and len(item) <= LONGEST_LABEL for item in value):
        raise ValueError(f"labels are not texts of at most {LONGEST_LABEL} characters")
    if len(value) != num_classes:
        raise ValueError(f"{len(value)} labels for {num_classes} classes")
    return tuple(value)
