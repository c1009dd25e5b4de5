"""Trained networks that are part of the package, by name.

The package holds each as a bundle, which runs without torch.  Its trained weights lie in the repository only, since
they would make the wheel nearly three times as large.
"""

from __future__ import annotations

from pathlib import Path

from gfnet.errors import CheckpointError

MANIFEST = "manifest.json"
"""The file that makes a folder a bundle."""
_FOLDER = Path(__file__).parent
_WEIGHTS = Path("benchmark", "results")  # in the repository


def shipped_names() -> tuple[str, ...]:
    """Their names, in alphabetical order."""
    return tuple(sorted(path.parent.name for path in _FOLDER.glob(f"*/{MANIFEST}")))


def shipped_bundle(name: str | Path) -> Path | None:
    """The bundle called ``name``; ``None`` if that is no shipped network's name."""
    return _FOLDER / str(name) if str(name) in shipped_names() else None


def shipped_weights(name: str) -> Path:
    """Where the checkpoint of a shipped network lies; in an installed package there is no such file."""
    return _FOLDER.parents[1] / _WEIGHTS / name / "model.safetensors"


def network_path(name: str | Path) -> Path:
    """The file or the bundle ``name``; where there is neither, the shipped network's bundle.

    Any other folder of that name, of photos perhaps, hides no network.

    Raises:
        CheckpointError: there is nothing of that name.
    """
    path = Path(name)
    if path.is_file() or (path / MANIFEST).is_file():
        return path
    shipped = shipped_bundle(name)
    if shipped is not None:
        return shipped
    if path.is_dir():
        raise CheckpointError(f"{path}: no {MANIFEST} in this folder; give a bundle or a checkpoint file")
    raise _missing(path)


def checkpoint_path(name: str | Path) -> Path:
    """The file ``name``; where there is no file of that name, the shipped network's weights.

    Raises:
        CheckpointError: there is no such file, or only the bundle of that network is installed.
    """
    path = Path(name)
    if path.is_file():
        return path
    if shipped_bundle(name) is not None:
        weights = shipped_weights(str(name))
        if not weights.is_file():
            raise CheckpointError(
                f"{name}: this needs its trained weights, {weights.relative_to(weights.parents[3])} in the project's "
                "repository; what is installed is a bundle, for `predict`, `visualize`, `info` and `bench onnx`"
            )
        return weights
    if path.is_dir():
        raise CheckpointError(f"{path}: a folder, not a checkpoint file; `predict`, `info` and `bench` take bundles")
    raise _missing(path)


def _missing(path: Path) -> CheckpointError:
    names = ", ".join(shipped_names())
    return CheckpointError(f"{path}: no such file" + (f", nor an included network ({names})" if names else ""))
