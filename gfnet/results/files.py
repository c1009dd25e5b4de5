"""Files of measured runs: written, read, and searched for one network."""

from __future__ import annotations

from pathlib import Path

from gfnet.errors import DataError
from gfnet.files.reading import parse_json, read_bytes
from gfnet.files.versioned import check_version, validate
from gfnet.files.writing import write_text
from gfnet.results.schema import SCHEMA_VERSION, Result, Subject

_LARGEST_FILE = 64 * 1024 * 1024


def write_result_file(path: str | Path, result: Result) -> None:
    """Write a result, whole or not at all."""
    write_text(path, result.model_dump_json(indent=2) + "\n")


def read_result(path: str | Path) -> Result:
    """Read a result.

    Raises:
        DataError: the file is missing, no result, of another schema version, or contradicts itself.
    """
    try:
        text = read_bytes(path, _LARGEST_FILE)
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file; `gfnet bench onnx --json` and the phone's benchmark write one"
        ) from None
    check_version(
        parse_json(text, path),
        "schema_version",
        SCHEMA_VERSION,
        lambda what: DataError(
            f"{path}: not a benchmark result that this release reads ({what}); measure it again with "
            "`gfnet bench onnx --json`, or read it with the release that wrote it"
        ),
    )
    return validate(
        Result, text, lambda what: DataError(f"{path}: not a sound benchmark result ({what}); measure it again")
    )


def find_network(result: Result, network: str, name: str | None = None) -> Subject:
    """The subject that is a certain network.

    Args:
        network: backbone, patch size and steps, as in ``ModelConfig.name``.
        name: the subject's, where the result has several of that network.

    Raises:
        DataError: there is none, or there are several.
    """
    found = [subject for subject in result.networks if subject.network == network]
    if name is not None:
        found = [subject for subject in [result.subject(name)] if subject.network == network]
    if not found:
        measured = ", ".join(sorted({subject.network for subject in result.networks})) or "no network"
        raise DataError(f"the result measures {measured}, not {network}; measure this network")
    if len(found) > 1:
        names = ", ".join(subject.name for subject in found)
        raise DataError(
            f"the result measures {network} several times; write #NAME behind the file, with one of {names}"
        )
    return found[0]


def read_network(source: str, network: str) -> Subject:
    """The subject that is a certain network, of a file; ``FILE#NAME`` where it holds several of that network.

    Raises:
        DataError: see :func:`read_result` and :func:`find_network`.
    """
    path, name = split_source(source)
    try:
        return find_network(read_result(path), network, name)
    except DataError as error:
        raise DataError(str(error) if str(error).startswith(path) else f"{path}: {error}") from error


def split_source(source: str) -> tuple[str, str | None]:
    """A file, and the subject's name that ``#NAME`` behind it gives."""
    path, mark, name = source.rpartition("#")
    return (path, name) if mark and not Path(source).exists() else (source, None)
