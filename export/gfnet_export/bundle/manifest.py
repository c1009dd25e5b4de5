"""``manifest.json``: all that a runtime needs to know of a bundle besides its subgraphs.

Read by this package and by the Swift package; the JSON Schema beside this file is generated from it.
"""

from __future__ import annotations

import json
import math
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from gfnet.files.fields import Count, Label, NotNegative, Percent, PerStep, Record, Sha256, Step, Text
from gfnet.inference.budgets import BudgetPoint
from gfnet.inference.images import Preprocessing
from gfnet.limits import (
    LARGEST_IMAGE,
    LARGEST_RESIZE,
    LONGEST_ARCHITECTURE,
    MOST_BUDGETS,
    MOST_CLASSES,
    MOST_STEPS,
)
from gfnet_export.bundle import tensor_names as names
from gfnet_export.choices import Compression, Format, Layout, Precision

SCHEMA_VERSION: Literal[1] = 1

Role = Literal["glance", "policy", "focus", "step"]
RelativePath = Annotated[str, Field(min_length=1, max_length=500)]

# Far beyond any network, and small enough that a reader who trusts a manifest allocates no more than it can have.
_MOST_ELEMENTS = 2**28


class TensorSpec(Record):
    """One input or output of a subgraph.

    Attributes:
        kind: ``image``: an RGB picture of 8 bits a channel, as a camera gives it; ``shape`` is that of its planes
            inside the graph.  Whoever has pixels with fractions rounds them, halves to even, and clips what a bicubic
            resize made darker than black or brighter than white.
    """

    name: Text
    shape: Annotated[tuple[Count, ...], Field(max_length=8)]
    dtype: Literal["float32", "uint8"]
    kind: Literal["tensor", "image"] = "tensor"

    @model_validator(mode="after")
    def _fits_into_memory(self) -> TensorSpec:
        if math.prod(self.shape) > _MOST_ELEMENTS:
            raise ValueError(f"{self.name} of {list(self.shape)} is larger than any tensor of a network")
        return self

    @model_validator(mode="after")
    def _is_what_its_name_says(self) -> TensorSpec:
        if self.kind == "image" and self.name not in (names.IMAGE, names.PATCH):
            raise ValueError(f"{self.name} cannot be an image")
        if self.dtype != ("uint8" if self.kind == "image" or self.name == names.PIXELS else "float32"):
            raise ValueError(f"{self.name} cannot be {self.dtype}")
        return self


class Subgraph(Record):
    """One exported part of the network.

    Attributes:
        role: what it does in the sequence; ``step``: policy, crop and focus in one graph.
        steps: the steps (1 .. T) that run it.
        path: its file or package, relative to the manifest; several may lie in one package.
        function: which function of the package it is, where there are several.
        sha256: digest of every file that holds content, by path relative to the manifest.
        float_layers: layers that were left in floating point where the others are 8-bit, since they hurt most.
    """

    name: Text
    role: Role
    steps: Annotated[tuple[Step, ...], Field(min_length=1, max_length=MOST_STEPS)]
    path: RelativePath
    function: Text | None = None
    sha256: Annotated[dict[RelativePath, Sha256], Field(min_length=1, max_length=64)]
    inputs: Annotated[tuple[TensorSpec, ...], Field(max_length=8)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(max_length=8)]
    float_layers: Annotated[tuple[Text, ...], Field(max_length=10_000)] = ()

    @model_validator(mode="after")
    def _stays_inside(self) -> Subgraph:
        for path in (self.path, *self.sha256):
            parts = PurePosixPath(path)
            if parts.is_absolute() or ".." in parts.parts or "\\" in path or ":" in path:
                raise ValueError(f"path {path!r} leaves the bundle")
            # One spelling for one file; no control characters, which would tear messages apart.
            if str(parts) != path or path == "." or not path.isprintable():
                raise ValueError(f"path {path!r} is not written as a plain relative path")
            if any(len(part.encode()) > 255 for part in parts.parts):
                raise ValueError(f"path {path!r} has a name that no file system takes")
        package = PurePosixPath(self.path)
        for path in self.sha256:
            if package not in (PurePosixPath(path), *PurePosixPath(path).parents):
                raise ValueError(f"sha256 has {path!r}, which is not part of {self.path!r}")
        return self

    @model_validator(mode="after")
    def _speaks_the_role_s_names(self) -> Subgraph:
        inputs, outputs = ([spec.name for spec in specs] for specs in (self.inputs, self.outputs))
        if sorted(inputs) != sorted(names.INPUTS[self.role]):
            raise ValueError(f"a {self.role} has the inputs {', '.join(sorted(names.INPUTS[self.role]))}, not {inputs}")
        if not names.ANSWERS[self.role] <= set(outputs) or len(set(outputs)) < len(outputs):
            raise ValueError(f"a {self.role} gives {', '.join(sorted(names.ANSWERS[self.role]))}, not {outputs}")
        return self


class PreprocessingSpec(Record):
    """From a photo to the full-resolution square, and from there to the glance.

    Attributes:
        image_size: side of the square, pixels.
        resize_size: length of the photo's shorter side before the centre crop, pixels.
        interpolation: of that resize, antialiased.
        glance_interpolation: of the resize from square to glance; corners aligned, no antialias.
        mean: per channel, for pixels in [0, 1]; already inside the subgraphs.
        std: likewise.
    """

    image_size: Annotated[int, Field(ge=1, le=LARGEST_IMAGE)]
    resize_size: Annotated[int, Field(ge=1, le=LARGEST_IMAGE * LARGEST_RESIZE)]
    interpolation: Literal["bilinear", "bicubic"]
    glance_interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[PositiveFloat, PositiveFloat, PositiveFloat]

    @model_validator(mode="after")
    def _keeps_something(self) -> PreprocessingSpec:
        if self.resize_size > LARGEST_RESIZE * self.image_size:
            raise ValueError(f"of a side of {self.resize_size} pixels only {self.image_size} are kept")
        return self


class Calibration(Record):
    """How the ranges of 8-bit activations were found.

    Attributes:
        images: number of photos that were looked at.
        method: what of the values seen there must fit into the range.
    """

    images: Count
    method: Literal["entropy", "percentile", "minmax"]


class Exporter(Record):
    """What made the bundle."""

    gfnet: Text
    libraries: Annotated[dict[Text, Text], Field(max_length=64)]


class Manifest(Record):
    """A bundle's description.

    Attributes:
        digest: SHA-256 of the manifest's file with these 64 digits as zeros; older releases wrote none.
        format: what the subgraphs are.
        precision: of weights and activations; the policy's output is float32 always, and where there are 8 bits all
            of it.  ``int8-heads``: fp32, but for the classifiers; ``int8-vectors``: but for all large layers that
            take one vector; ``int8-storage``: weights stored in 8 bits, computed in float32.
        compression: of a Core ML package's weights; ``w8a8``: of its activations too.
        layout: ``split``: glance, policy and focus; ``fused``: glance, and the rest of a step in one graph;
            ``multifunction``: like ``split``, but the focus steps are functions of one package.
        calibration: of 8-bit activations.
        architecture: name of the backbone.
        budgets: found on the checkpoint, until ``gfnet verify --retune`` finds them on the bundle; likewise
            ``anytime_top1``.
        step_macs: cumulative multiply-adds of sequences of 1 .. T steps.
        anytime_top1: accuracy in percent after each step; empty where unknown.
        labels: class names in the order of the logits; ``null`` where unknown.
    """

    schema_version: Literal[1] = 1
    digest: Sha256 | None = None
    format: Format
    precision: Precision
    compression: Compression = "none"
    layout: Layout = "split"
    calibration: Calibration | None = None
    architecture: Annotated[Text, Field(max_length=LONGEST_ARCHITECTURE)]
    patch_size: Annotated[int, Field(ge=1, le=LARGEST_IMAGE)]
    steps: Step
    num_classes: Annotated[int, Field(ge=1, le=MOST_CLASSES)]
    labels: Annotated[tuple[Label, ...], Field(max_length=MOST_CLASSES)] | None
    preprocessing: PreprocessingSpec
    step_macs: PerStep[NotNegative]
    anytime_top1: PerStep[Percent]
    budgets: Annotated[tuple[BudgetPoint, ...], Field(max_length=MOST_BUDGETS)]
    subgraphs: Annotated[tuple[Subgraph, ...], Field(max_length=256)]
    exporter: Exporter

    @model_validator(mode="after")
    def _is_consistent(self) -> Manifest:
        if self.preprocessing.image_size < self.patch_size:
            raise ValueError(f"image_size {self.preprocessing.image_size} is smaller than patch_size {self.patch_size}")
        if self.labels is not None and len(self.labels) != self.num_classes:
            raise ValueError(f"{len(self.labels)} labels for {self.num_classes} classes")
        if len(self.step_macs) != self.steps:
            raise ValueError(f"step_macs has {len(self.step_macs)} values for {self.steps} steps")
        if len(self.anytime_top1) not in (0, self.steps):
            raise ValueError(f"anytime_top1 has {len(self.anytime_top1)} values for {self.steps} steps")
        if any(len(budget.thresholds) != self.steps for budget in self.budgets):
            raise ValueError(f"a budget must have {self.steps} thresholds")
        return self

    @model_validator(mode="after")
    def _is_a_form_that_exists(self) -> Manifest:
        told = f"{self.format}, {self.precision}, compression {self.compression}, {self.layout}"
        if self.format == "onnx":
            exists = self.compression == "none" and self.layout != "multifunction"
        elif self.format == "coreml":
            exists = self.precision in ("fp32", "fp16") and self.layout != "fused"
        else:
            exists = self.precision in ("fp32", "fp16") and self.compression == "none" and self.layout == "split"
        if not exists:
            raise ValueError(f"unknown form: {told}")
        if (self.calibration is not None) != (self.precision == "int8" or self.compression == "w8a8"):
            raise ValueError(f"calibration belongs to 8-bit activations, and only to them: {told}")
        return self

    @model_validator(mode="after")
    def _has_a_subgraph_for_every_step(self) -> Manifest:
        if len({graph.name for graph in self.subgraphs}) < len(self.subgraphs):
            raise ValueError("two subgraphs have the same name")
        for step in range(1, self.steps + 1):
            for role in self._roles(step):
                found = [graph for graph in self.subgraphs if graph.role == role and step in graph.steps]
                if len(found) != 1:
                    raise ValueError(f"step {step} needs one {role} subgraph, found {len(found)}")
        for graph in self.subgraphs:
            for step in graph.steps:
                if step > self.steps or graph.role not in self._roles(step):
                    raise ValueError(
                        f"{graph.name} is a {graph.role} of step {step}, which no {self.layout} bundle "
                        f"of {self.steps} steps needs"
                    )
            if self.format == "onnx" and graph.path not in graph.sha256:
                raise ValueError(f"{graph.name}: sha256 lacks {graph.path!r}")
        return self

    @model_validator(mode="after")
    def _passes_on_what_the_next_step_needs(self) -> Manifest:
        side, square = self.patch_size, self.preprocessing.image_size
        known = {
            names.IMAGE: (1, 3, side, side),
            names.PATCH: (1, 3, side, side),
            names.PIXELS: (1, square, square, 3),
            names.LOGITS: (1, self.num_classes),
            names.ACTION: (1, 2),
        }
        graphs = {(graph.role, step): graph for graph in self.subgraphs for step in graph.steps}
        carried: dict[str, tuple[int, ...]] = {}  # from the step before
        for step in range(1, self.steps + 1):
            given: dict[str, tuple[int, ...]] = {}
            for role in self._roles(step):
                graph = graphs[role, step]
                for spec in graph.inputs:
                    begins = spec.name == names.HIDDEN and step == 2  # with zeros of any number
                    wanted = known.get(spec.name, spec.shape if begins else carried.get(spec.name))
                    _same_shape(graph, step, spec, wanted)
                for spec in graph.outputs:
                    _same_shape(graph, step, spec, known.get(spec.name, spec.shape))
                    given[names.CARRIED.get(spec.name, spec.name)] = spec.shape
            carried = given
        return self

    def _roles(self, step: int) -> tuple[Role, ...]:
        """What is run at a step (1 .. T), in order."""
        if step == 1:
            return ("glance",)
        return ("step",) if self.layout == "fused" else ("policy", "focus")


def _same_shape(graph: Subgraph, step: int, spec: TensorSpec, wanted: tuple[int, ...] | None) -> None:
    if spec.shape != wanted:
        reason = "nothing before gives it" if wanted is None else f"it must be {list(wanted)}"
        raise ValueError(f"{graph.name}: {spec.name} is {list(spec.shape)} at step {step}, but {reason}")


def preprocessing_of(manifest: Manifest) -> Preprocessing:
    """The way from a photo to the full-resolution square as the core knows it."""
    stored = manifest.preprocessing
    return Preprocessing(stored.image_size, stored.resize_size, stored.interpolation)


def schema_text() -> str:
    """The JSON Schema of :class:`Manifest`, as committed in ``manifest.schema.json``."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=2) + "\n"


if __name__ == "__main__":
    print(schema_text(), end="")
