"""What the core's door to networks needs to know of bundles; see :data:`gfnet.loading.BUNDLES`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from gfnet.extras import require
from gfnet.inference.predictor import Predictor
from gfnet_export.bundle.reader import open_bundle


def load_bundle(folder: Path, *, provider: Any = None, exact_int8: bool = False) -> Predictor:
    """A predictor for a bundle of any format.

    A Core ML bundle runs in the interpreter of :mod:`gfnet_export.mil`, a Core AI bundle in Apple's own runtime.

    Args:
        provider: what of ONNX Runtime runs an ONNX bundle, its CPU code if left out; other bundles take none.
        exact_int8: see :func:`gfnet_export.runtime.onnx_runtime.open_session`.

    Raises:
        GFNetError: the bundle is damaged, or an option is not for it.
    """
    bundle = open_bundle(folder)
    if provider is None and not exact_int8:
        if bundle.manifest.format == "coreml":
            require("coremltools", "coreml")
            from gfnet_export.mil.session import mil_predictor

            return mil_predictor(bundle)
        if bundle.manifest.format == "coreai":
            require("coreai", "coreai")
            from gfnet_export.runtime.core_ai import core_ai_predictor

            return core_ai_predictor(bundle)
    from gfnet_export.runtime.onnx_runtime import bundle_predictor

    return bundle_predictor(bundle, provider=provider or "cpu", exact_int8=exact_int8)


def describe_bundle(folder: Path) -> dict[str, Any]:
    """What a bundle's manifest says of the network and its form, JSON-ready.

    Raises:
        BundleError: it is damaged.
    """
    bundle = open_bundle(folder)
    manifest = bundle.manifest
    points = [dataclasses.asdict(budget) for budget in manifest.budgets]
    stored = {"macs": list(manifest.step_macs), "anytime_top1": list(manifest.anytime_top1), "budgeted": points}
    return {
        "network": f"{manifest.architecture}_p{manifest.patch_size}_T{manifest.steps}",
        "classes": manifest.num_classes,
        "labels": manifest.labels and list(manifest.labels),
        "bundle": manifest.model_dump(mode="json", include={"format", "precision", "compression", "layout"}),
        "bytes": bundle.bytes,
        "subgraphs": {
            graph.name: sum((folder / file).stat().st_size for file in graph.sha256) for graph in manifest.subgraphs
        },
        "preprocessing": manifest.preprocessing.model_dump(mode="json"),
        "macs": list(manifest.step_macs),
        "evaluation": stored if manifest.anytime_top1 else None,
    }
