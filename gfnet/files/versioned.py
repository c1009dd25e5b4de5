"""JSON files with a version: another version is refused first, and a pydantic model checks all the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from gfnet.errors import GFNetError
from gfnet.escaping import one_line

Model = TypeVar("Model", bound=BaseModel)

_SHOWN_PROBLEMS, _MOST_PROBLEMS = 3, 10_000


def check_version(content: Any, field: str, version: int, refuse: Callable[[str], GFNetError]) -> None:
    """Refuse a file of another version before all else, as it may look different in any way.

    Args:
        content: the parsed file.
        field: the name of the version in it, as ``schema_version``.
        version: that this release reads.
        refuse: makes the error out of what is wrong.

    Raises:
        GFNetError: made by ``refuse``; the version is another, or missing.
    """
    name = field.replace("_", " ")
    if not isinstance(content, dict) or field not in content:
        raise refuse(f"{name} is missing; this release reads {version}")
    found = content[field]
    if type(found) is not int or found != version:
        raise refuse(f"{name} {one_line(repr(found))}, but this release reads {version}")


def validate(model: type[Model], text: str | bytes, refuse: Callable[[str], GFNetError]) -> Model:
    """The values in JSON text, checked strictly: where Python would want a tuple a list will do, but no text a number.

    Args:
        refuse: makes the error out of what is wrong.

    Raises:
        GFNetError: made by ``refuse``; a value is missing, unknown, of the wrong type or out of range.
    """
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        raise refuse(problems_of(error)) from error


def problems_of(error: ValidationError) -> str:
    """What is wrong: the first problems, on one line of at most 1,000 characters or so."""
    count = error.error_count()
    if count > _MOST_PROBLEMS:  # a description of each would take more room than the file
        return f"{count:,} of its values are wrong"
    problems = [
        one_line(": ".join(filter(None, (".".join(map(str, problem["loc"])), _message(problem["msg"])))))
        for problem in error.errors(include_url=False, include_context=False, include_input=False)[:_SHOWN_PROBLEMS]
    ]
    more = f" and {count - _SHOWN_PROBLEMS:,} more" if count > _SHOWN_PROBLEMS else ""
    return "; ".join(problems) + more


def _message(told: str) -> str:
    return told.removeprefix("Value error, ")
