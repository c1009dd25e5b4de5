"""``manifest.json``: all that a runtime needs to know of a bundle besides its subgraphs.

Read by this package and by the Swift package; the JSON Schema beside this file is generated from it.
"""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gfnet.images import Preprocessing as SquareCrop
from gfnet.results import BudgetPoint
from gfnet_export import names

SCHEMA_VERSION: Literal[1] = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Format = Literal["onnx", "coreml"]
Precision = Literal["fp32", "fp16", "int8", "int8-heads"]
Compression = Literal["none", "int8", "palette6", "palette4", "w8a8"]
Layout = Literal["split", "fused", "multifunction"]
Role = Literal["glance", "policy", "focus", "step"]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TensorSpec(_Record):
    """One input or output of a subgraph.

    Attributes:
        kind: ``image``: an RGB picture of 8 bits a channel, as a camera gives it; ``shape`` is that of its planes
            inside the graph.  Whoever has pixels with fractions rounds them, halves to even.
    """

    name: Annotated[str, Field(min_length=1)]
    shape: tuple[Annotated[int, Field(ge=1)], ...]
    dtype: Literal["float32", "uint8"]
    kind: Literal["tensor", "image"] = "tensor"


class Subgraph(_Record):
    """One exported part of the network.

    Attributes:
        role: what it does in the sequence; ``step``: policy, crop and focus in one graph.
        steps: the steps (1 .. T) that run it.
        path: its file or package, relative to the manifest; several may lie in one package.
        function: which function of the package it is, where there are several.
        sha256: digest of every file that holds content, by path relative to the manifest.
        float_layers: layers that were left in floating point where the others are 8-bit, since they hurt most.
    """

    name: Annotated[str, Field(min_length=1)]
    role: Role
    steps: tuple[Annotated[int, Field(ge=1)], ...]
    path: Annotated[str, Field(min_length=1)]
    function: Annotated[str, Field(min_length=1)] | None = None
    sha256: Annotated[dict[str, Sha256], Field(min_length=1)]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    float_layers: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _stays_inside(self) -> Subgraph:
        for path in (self.path, *self.sha256):
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path:
                raise ValueError(f"path {path!r} leaves the bundle")
        package = PurePosixPath(self.path)
        for path in self.sha256:
            if package not in (PurePosixPath(path), *PurePosixPath(path).parents):
                raise ValueError(f"sha256 has {path!r}, which is no part of {self.path!r}")
        return self

    @model_validator(mode="after")
    def _speaks_the_role_s_names(self) -> Subgraph:
        inputs, outputs = ([spec.name for spec in specs] for specs in (self.inputs, self.outputs))
        if sorted(inputs) != sorted(names.INPUTS[self.role]):
            raise ValueError(f"a {self.role} has the inputs {', '.join(sorted(names.INPUTS[self.role]))}, not {inputs}")
        if not names.ANSWERS[self.role] <= set(outputs) or len(set(outputs)) < len(outputs):
            raise ValueError(f"a {self.role} gives {', '.join(sorted(names.ANSWERS[self.role]))}, not {outputs}")
        return self


class Preprocessing(_Record):
    """From a photo to the full-resolution square, and from there to the glance.

    Attributes:
        image_size: side of the square, pixels.
        resize_size: length of the photo's shorter side before the centre crop, pixels.
        interpolation: of that resize, antialiased.
        glance_interpolation: of the resize from square to glance; corners aligned, no antialias.
        mean: per channel, for pixels in [0, 1]; already inside the subgraphs.
        std: likewise.
    """

    image_size: Annotated[int, Field(ge=1)]
    resize_size: Annotated[int, Field(ge=1)]
    interpolation: Literal["bilinear", "bicubic"]
    glance_interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Budget(_Record):
    """One set of thresholds, and what it was measured to give.

    Attributes:
        budget: average multiply-adds per image on the split that the thresholds were found on.
        thresholds: an image stops at the first step whose confidence reaches its threshold; a value
            above 1 lets nobody go, and the last step takes everyone.
        top1: accuracy in percent.
        mean_macs: average multiply-adds per image on the evaluated split.
        exit_distribution: fraction of images that stopped at each step; empty where unknown.
    """

    budget: Annotated[float, Field(ge=0)]
    thresholds: tuple[float, ...]
    top1: Annotated[float, Field(ge=0, le=100)] | None
    mean_macs: Annotated[float, Field(ge=0)]
    exit_distribution: tuple[Probability, ...]


class Calibration(_Record):
    """How the ranges of 8-bit activations were found.

    Attributes:
        images: number of photos that were looked at.
        method: what of the values seen there must fit into the range.
    """

    images: Annotated[int, Field(ge=1)]
    method: Literal["entropy", "percentile", "minmax"]


class Exporter(_Record):
    """What made the bundle."""

    gfnet: str
    libraries: dict[str, str]


class Manifest(_Record):
    """A bundle's description.

    Attributes:
        format: what the subgraphs are.
        precision: of weights and activations; the policy's output is float32 always.  ``int8-heads``: fp32, but
            for the classifiers' weights.
        compression: of a Core ML package's weights; ``w8a8``: of its activations too.
        layout: ``split``: glance, policy and focus; ``fused``: glance, and the rest of a step in one graph;
            ``multifunction``: like ``split``, but the focus steps are functions of one package.
        calibration: of 8-bit activations.
        architecture: name of the backbone.
        step_macs: cumulative multiply-adds of sequences of 1 .. T steps.
        anytime_top1: accuracy in percent after each step; empty where unknown.
        labels: class names in the order of the logits; ``null`` where unknown.
    """

    schema_version: Literal[1] = 1
    format: Format
    precision: Precision
    compression: Compression = "none"
    layout: Layout = "split"
    calibration: Calibration | None = None
    architecture: Annotated[str, Field(min_length=1)]
    patch_size: Annotated[int, Field(ge=1)]
    steps: Annotated[int, Field(ge=1)]
    num_classes: Annotated[int, Field(ge=1)]
    labels: tuple[str, ...] | None
    preprocessing: Preprocessing
    step_macs: tuple[Annotated[float, Field(ge=0)], ...]
    anytime_top1: tuple[float, ...]
    budgets: tuple[Budget, ...]
    subgraphs: tuple[Subgraph, ...]
    exporter: Exporter

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        if self.preprocessing.image_size < self.patch_size:
            raise ValueError(f"image_size {self.preprocessing.image_size} is smaller than patch_size {self.patch_size}")
        if self.labels is not None and len(self.labels) != self.num_classes:
            raise ValueError(f"{len(self.labels)} labels for {self.num_classes} classes")
        if len(self.step_macs) != self.steps:
            raise ValueError(f"step_macs has {len(self.step_macs)} values for {self.steps} steps")
        if any(len(budget.thresholds) != self.steps for budget in self.budgets):
            raise ValueError(f"a budget's thresholds are not {self.steps}")
        if len({graph.name for graph in self.subgraphs}) < len(self.subgraphs):
            raise ValueError("two subgraphs have the same name")
        later = ("step",) if self.layout == "fused" else ("policy", "focus")
        for step in range(1, self.steps + 1):
            for role in ("glance",) if step == 1 else later:
                found = [graph for graph in self.subgraphs if graph.role == role and step in graph.steps]
                if len(found) != 1:
                    raise ValueError(f"step {step} needs one {role} subgraph, found {len(found)}")
        return self


def budget_points(manifest: Manifest) -> tuple[BudgetPoint, ...]:
    """The manifest's thresholds as the core knows them."""
    return tuple(BudgetPoint.from_dict(budget.model_dump()) for budget in manifest.budgets)


def preprocessing_of(manifest: Manifest) -> SquareCrop:
    """The way from a photo to the full-resolution square as the core knows it."""
    stored = manifest.preprocessing
    return SquareCrop(stored.image_size, stored.resize_size, stored.interpolation)


def schema_text() -> str:
    """The JSON Schema of :class:`Manifest`, as committed in ``manifest.schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
