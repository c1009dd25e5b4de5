"""Whatever a network is kept in, as a predictor."""

from __future__ import annotations

from pathlib import Path

from gfnet.config import refuse_told
from gfnet.errors import BundleError, ConfigError, GFNetError
from gfnet.extras import require
from gfnet.inference.predictor import Predictor
from gfnet.shipped import checkpoint_path
from gfnet_export.bundle.reader import is_bundle, open_bundle
from gfnet_export.choices import Provider


def load_predictor(
    source: str | Path,
    *,
    provider: Provider | None = None,
    exact_int8: bool = False,
    arch: str | None = None,
    patch_size: int | None = None,
    steps: int | None = None,
) -> Predictor:
    """A predictor for a checkpoint file (runs with torch), an ONNX bundle (runs without) or a Core ML bundle.

    The last one runs in the interpreter of :mod:`gfnet_export.mil`.

    Args:
        provider: what of ONNX Runtime runs an ONNX bundle, its CPU code if left out; other networks take none.
        exact_int8: of an ``int8`` one, see :func:`gfnet_export.runtime.onnx_runtime.open_session`.
        arch: completes an official checkpoint that does not say what it is; likewise the others.

    Raises:
        GFNetError: it is neither, or damaged, or an option is not for it.
    """
    source = Path(source)
    if is_bundle(source):
        try:
            refuse_told(arch=arch, patch_size=patch_size, steps=steps)
        except ConfigError as error:
            raise BundleError(f"{source}: {error}") from error
        bundle = open_bundle(source)
        if bundle.manifest.format == "coreml" and provider is None and not exact_int8:
            require("coremltools", "coreml")
            from gfnet_export.mil.session import mil_predictor

            return mil_predictor(bundle)
        from gfnet_export.runtime.onnx_runtime import bundle_predictor

        return bundle_predictor(bundle, provider=provider or "cpu", exact_int8=exact_int8)
    if exact_int8:
        raise GFNetError(f"{source}: --exact-int8 is for ONNX bundles in int8; export one, or leave it out")
    if provider is not None:
        raise GFNetError(f"{source}: a provider runs ONNX bundles; export one, or leave --provider out")
    source = checkpoint_path(source)
    if source.is_dir():
        raise GFNetError(f"{source}: no manifest.json in this folder; give a bundle or a checkpoint file")
    # torch only now: a bundle must run where it is not installed.
    from gfnet.checkpoint import load_checkpoint
    from gfnet.checkpoint.predictor import torch_predictor
    from gfnet.network.model import default_device

    checkpoint = load_checkpoint(source, arch=arch, patch_size=patch_size, steps=steps)
    checkpoint.model.to(default_device())
    return torch_predictor(checkpoint)
