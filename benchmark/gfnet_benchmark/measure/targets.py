"""What a benchmark measures: networks of bundles, and classifiers that see the full image once.  Needs no torch."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gfnet.errors import BundleError
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.images import Preprocessing
from gfnet.results.schema import Role, Tried
from gfnet.shipped import MANIFEST
from gfnet_benchmark.measure.runners import ClassifierRunner, Settings
from gfnet_export.bundle.manifest import Manifest, preprocessing_of
from gfnet_export.bundle.reader import Bundle, open_bundle, sha256_of


@dataclass(frozen=True)
class Graph:
    """A subgraph's name, and the steps (1 .. T) that run it."""

    name: str
    role: Role
    steps: tuple[int, ...]


@dataclass(frozen=True)
class Target:
    """One thing to be measured; a run makes a :class:`gfnet.results.schema.Subject` of it.

    Attributes:
        name: unique in the run.
        path: a bundle's folder, or an ONNX file.
        network: as results call it, see :func:`network_name`.
        bytes: size of its files.
        macs: cumulative multiply-adds of sequences of 1 .. T steps, where known.
        stored_top1: accuracy in percent after each step, as stored with it; empty where unknown.
        points: stored sets of thresholds.
        labels: names of its classes, where known.
        preprocessing: from photo to square.
        graphs: its subgraphs.
        settings: how ONNX Runtime runs it.
        tried: settings that were tried, the fastest of which are ``settings``.
    """

    name: str
    path: Path
    kind: Literal["network", "classifier"]
    architecture: str
    network: str
    precision: str
    layout: str
    bytes: int
    preprocessing: Preprocessing
    graphs: tuple[Graph, ...]
    macs: tuple[float, ...] = ()
    stored_top1: tuple[float, ...] = ()
    points: tuple[BudgetPoint, ...] = ()
    labels: tuple[str, ...] | None = None
    settings: Settings = field(default_factory=Settings)
    tried: tuple[Tried, ...] = ()

    @property
    def image_size(self) -> int:
        """Side of the square that it is given, pixels."""
        return self.preprocessing.image_size


def target_of(path: Path, name: str | None = None) -> Target:
    """A bundle's folder or an ONNX classifier as a target, by default called as the file or folder is.

    Raises:
        BundleError: it is missing, of another format, or not what its manifest says.
        DataError: the file is not a classifier of one square image.
    """
    if path.is_dir():
        return bundle_target(open_bundle(path), name)
    if not path.exists():
        raise BundleError(f"{path}: no such bundle or ONNX file")
    size = ClassifierRunner(path, Settings().open(path)).image_size
    preprocessing = Preprocessing(size, round(size * 256 / 224), "bilinear")
    return classifier_target(path, name or path.stem, f"{path.stem}@{size}", preprocessing)


def bundle_target(bundle: Bundle, name: str | None = None) -> Target:
    """A bundle as a target, by default called as its folder is."""
    manifest = bundle.manifest
    single = _is_classifier(manifest)
    return Target(
        name=name or bundle.folder.resolve().name,
        path=bundle.folder,
        kind="classifier" if single else "network",
        architecture=manifest.architecture,
        network=network_name(manifest),
        precision=precision_name(manifest),
        layout=manifest.layout,
        bytes=bundle.bytes,
        preprocessing=preprocessing_of(manifest),
        graphs=tuple(
            Graph(graph.name, "classifier" if single else graph.role, graph.steps) for graph in manifest.subgraphs
        ),
        macs=manifest.step_macs,
        stored_top1=manifest.anytime_top1,
        points=manifest.budgets,
        labels=manifest.labels,
    )


def classifier_target(
    path: Path, name: str, network: str, preprocessing: Preprocessing, precision: str = "fp32"
) -> Target:
    """An ONNX classifier as a target.

    Args:
        network: ``backbone@image_size``.
    """
    return Target(
        name=name,
        path=path,
        kind="classifier",
        architecture=network.partition("@")[0],
        network=network,
        precision=precision,
        layout="split",
        bytes=path.stat().st_size,
        preprocessing=preprocessing,
        graphs=(Graph(path.stem, "classifier", (1,)),),
    )


def network_name(manifest: Manifest) -> str:
    """What a bundle is, as results call it: backbone, patch size, steps; of a classifier, backbone and image size."""
    if _is_classifier(manifest):
        return f"{manifest.architecture}@{manifest.preprocessing.image_size}"
    return f"{manifest.architecture}_p{manifest.patch_size}_T{manifest.steps}"


def precision_name(manifest: Manifest) -> str:
    """Of weights and activations, and how weights are compressed."""
    return manifest.precision if manifest.compression == "none" else f"{manifest.precision} {manifest.compression}"


def _is_classifier(manifest: Manifest) -> bool:
    """Whether a bundle looks at the whole image once."""
    return manifest.steps == 1 and manifest.patch_size == manifest.preprocessing.image_size


def digest(path: Path) -> str:
    """Digest of a bundle's manifest, which names those of everything else; or of a file."""
    return sha256_of(path / MANIFEST if path.is_dir() else path)


def git_revision(path: Path) -> str | None:
    """Git revision of a bundle's folder, or of the folder of a file; ``None`` outside of a repository."""
    folder = path if path.is_dir() else path.parent
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None
