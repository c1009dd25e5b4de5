"""What a Core ML model is, in words: models that are not ML programs, and shapes that are not fixed."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gfnet.errors import MilError

_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")
_PIPELINES = ("pipeline", "pipelineClassifier", "pipelineRegressor")


@dataclass(frozen=True)
class OtherModel:
    """A model, or a stage of a pipeline.

    Attributes:
        words: what it is.
        layers: of a neural network: type to number, the commonest first; of an ML program: its operations.
        stages: of a pipeline.
    """

    words: str
    layers: Mapping[str, int]
    stages: tuple[OtherModel, ...] = ()


class OtherModelError(MilError):
    """A package holds a model that is not an ML program.

    Attributes:
        model: what it is.
    """

    def __init__(self, path: Path, model: OtherModel) -> None:
        super().__init__(
            f"{path}: holds {model.words}, but only an ML program can be run or linted; "
            'convert its source again with convert_to="mlprogram"'
        )
        self.model = model


def describe_model(model: Any) -> OtherModel:
    """Say what a model is.

    Args:
        model: the protobuf message ``Model``.
    """
    kind = model.WhichOneof("Type")
    if kind is None:
        return OtherModel("no model", {})
    if kind == "mlProgram":
        blocks = [block for function in model.mlProgram.functions.values() for block in _blocks(function)]
        return _counted(
            "an ML program", "operations", [operation.type for block in blocks for operation in block.operations]
        )
    content = getattr(model, kind)
    if kind in _NETWORKS:
        words = f"a {_apart(kind)} (Core ML's format before ML programs)"
        return _counted(words, "layers", [layer.WhichOneof("layer") or "nothing" for layer in content.layers])
    if kind in _PIPELINES:
        models = content.models if kind == "pipeline" else content.pipeline.models
        stages = tuple(describe_model(stage) for stage in models)
        return OtherModel(f"a {_apart(kind)} of {len(stages)} models", {}, stages)
    name = _apart(kind)
    return OtherModel(f"{'an' if name[0] in 'aeio' else 'a'} {name}", {})


def shapes_of(feature_type: Any) -> str | None:
    """The shapes that an input takes, in words; ``None`` where there is only one.

    Args:
        feature_type: the protobuf message ``FeatureType``.
    """
    kind = feature_type.WhichOneof("Type")
    if kind == "multiArrayType":
        array = feature_type.multiArrayType
        flexibility = array.WhichOneof("ShapeFlexibility")
        if flexibility == "shapeRange":
            return f"[{', '.join(_range(size) for size in array.shapeRange.sizeRanges)}]"
        if flexibility == "enumeratedShapes":
            return " or ".join(str(list(shape.shape)) for shape in array.enumeratedShapes.shapes)
    if kind == "imageType":
        image = feature_type.imageType
        flexibility = image.WhichOneof("SizeFlexibility")
        if flexibility == "imageSizeRange":
            size = image.imageSizeRange
            return f"{_range(size.heightRange)} pixels high, {_range(size.widthRange)} wide"
        if flexibility == "enumeratedSizes":
            return " or ".join(f"{size.height} x {size.width} pixels" for size in image.enumeratedSizes.sizes)
    return None


def _range(size: Any) -> str:
    if size.upperBound < 0:
        return f"{size.lowerBound} or more"
    return str(size.lowerBound) if size.lowerBound == size.upperBound else f"{size.lowerBound} .. {size.upperBound}"


def _blocks(function: Any) -> list[Any]:
    return [block for opset, block in function.block_specializations.items() if opset == function.opset]


def _counted(words: str, of: str, types: list[str]) -> OtherModel:
    counts = Counter(kind for kind in types if kind != "const")
    return OtherModel(f"{words} of {counts.total()} {of}", dict(counts.most_common()))


def _apart(name: str) -> str:
    """``treeEnsembleClassifier`` as ``tree ensemble classifier``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
