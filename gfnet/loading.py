"""The one door to networks: what a name, a file or a folder holds, in a form that can be used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gfnet.config import refuse_told
from gfnet.errors import BundleError, ConfigError, GFNetError
from gfnet.shipped import checkpoint_path, network_path

if TYPE_CHECKING:  # torch and numpy are imported only where they are needed
    from gfnet.checkpoint import Checkpoint
    from gfnet.inference.predictor import Predictor

BUNDLES = "gfnet.bundles"
"""The entry-point group of what reads bundles, which this package knows nothing of.

``load(folder, provider=..., exact_int8=...)`` gives a :class:`gfnet.inference.predictor.Predictor`, and
``describe(folder)`` what ``gfnet info`` says, JSON-ready.
"""


def load(
    network: str | Path,
    *,
    provider: str | None = None,
    exact_int8: bool = False,
    arch: str | None = None,
    patch_size: int | None = None,
    steps: int | None = None,
) -> Predictor:
    """A network that classifies images.

    ONNX bundles run in ONNX Runtime, and need no torch; Core ML bundles in this project's interpreter, Core AI
    bundles in Apple's runtime; checkpoints in torch, on a GPU if there is one.

    Args:
        network: a bundle's folder, a checkpoint file, or the name of a network in the package ("groceries").
        provider: what of ONNX Runtime runs an ONNX bundle: cpu (the default), coreml, cuda or xnnpack.
        exact_int8: on x86 processors without VNNI, run an ``int8`` bundle with products that cannot saturate, slower.
        arch: completes an official checkpoint that does not say what it is; likewise ``patch_size`` and ``steps``.

    Raises:
        GFNetError: there is no such network, it is damaged, or an option is not for it.
    """
    path = network_path(network)
    if path.is_dir():
        _refuse_told(path, arch, patch_size, steps)
        predictor: Predictor = bundle_reader("load")(path, provider=provider, exact_int8=exact_int8)
        return predictor
    if exact_int8:
        raise GFNetError(f"{path}: --exact-int8 is for ONNX bundles in int8; export one, or leave it out")
    if provider is not None:
        raise GFNetError(f"{path}: a provider runs ONNX bundles; export one, or leave --provider out")
    from gfnet.checkpoint.predictor import torch_predictor
    from gfnet.network.model import default_device

    checkpoint = load_checkpoint(path, arch=arch, patch_size=patch_size, steps=steps)
    checkpoint.model.to(default_device())
    return torch_predictor(checkpoint)


def describe_bundle(
    folder: Path, *, arch: str | None = None, patch_size: int | None = None, steps: int | None = None
) -> dict[str, Any]:
    """What a bundle's manifest says, JSON-ready; the options are refused, since a bundle says itself what it is.

    Raises:
        BundleError: it is damaged, or an option was given.
    """
    _refuse_told(folder, arch, patch_size, steps)
    described: dict[str, Any] = bundle_reader("describe")(folder)
    return described


def bundle_reader(name: str) -> Callable[..., Any]:
    """What an entry of :data:`BUNDLES` points to.

    Raises:
        BundleError: nothing that reads bundles is installed.
    """
    from importlib.metadata import entry_points

    for entry in entry_points(group=BUNDLES, name=name):
        reader: Callable[..., Any] = entry.load()
        return reader
    raise BundleError(
        "no reader of bundles is installed; install gfnet again, or run `pip install -e .` in its sources"
    )


def load_checkpoint(
    path: str | Path, *, arch: str | None = None, patch_size: int | None = None, steps: int | None = None
) -> Checkpoint:
    """Read a checkpoint; see :func:`gfnet.checkpoint.load_checkpoint`.  What is missing is refused without torch."""
    path = checkpoint_path(path)
    from gfnet.checkpoint import load_checkpoint as read

    return read(path, arch=arch, patch_size=patch_size, steps=steps)


def save_checkpoint(path: str | Path, checkpoint: Checkpoint, *, half: bool = False) -> None:
    """Write a checkpoint, a ``.safetensors`` file; see :func:`gfnet.checkpoint.save_checkpoint`."""
    from gfnet.checkpoint import save_checkpoint as write

    write(path, checkpoint, half=half)


def torch_predictor(checkpoint: Checkpoint, *, batch_size: int = 64) -> Predictor:
    """A predictor that runs a checkpoint with torch; see :func:`gfnet.checkpoint.predictor.torch_predictor`."""
    from gfnet.checkpoint.predictor import torch_predictor as make

    return make(checkpoint, batch_size=batch_size)


def _refuse_told(path: Path, arch: str | None, patch_size: int | None, steps: int | None) -> None:
    try:
        refuse_told(arch=arch, patch_size=patch_size, steps=steps)
    except ConfigError as error:
        raise BundleError(f"{path}: {error}") from error
