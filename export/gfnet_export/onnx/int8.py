"""ONNX models with 8-bit weights and activations, their ranges found on photos.

Static quantisation as ONNX Runtime runs it fast on CPUs: quantise and dequantise pairs (QDQ), unsigned activations,
signed weights, a scale for each output channel.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator, save_tensors_data

from gfnet_export.choices import RangeMethod
from gfnet_export.onnx.precision import policy_nodes
from gfnet_export.quiet import quietly
from gfnet_export.recorded_inputs import Inputs

LAYERS = ("Conv", "Gemm", "MatMul")
"""Operators with weights, which alone are worth 8 bits; what lies between two of them follows."""
NOISE_LIMIT = 0.002
"""Quantisation noise of an output, as a share of its variance, above which layers are put back into float."""
_MOST_FLOAT = 0.25  # of the layers
_CHUNK = 8  # samples whose activations are held in memory together
_JUDGES = 16  # samples on which noise is measured


def quantize(
    model: onnx.ModelProto, samples: Sequence[Inputs], method: RangeMethod = "percentile"
) -> tuple[onnx.ModelProto, tuple[str, ...]]:
    """A model in 8 bits, but for the layers that hurt.

    If the outputs' noise is above :data:`NOISE_LIMIT`, each layer is quantised alone, and the worst ones stay in
    float: as few as it takes, a quarter of all at most.  The policy's stay in float always.

    Args:
        model: in fp32, shapes inferred.
        samples: inputs that the model gets in use.
        method: how much of an activation's distribution its range covers: as little information lost as possible,
            or all but the outermost 0.001 %.

    Returns:
        The model, and the names of the layers that stayed in float.
    """
    keep = set(policy_nodes(model))
    layers = [node.name for node in model.graph.node if node.op_type in LAYERS and node.name not in keep]
    always = [node.name for node in model.graph.node if node.op_type in LAYERS and node.name in keep]
    if not layers:
        return model, tuple(_layer_name(model, name) for name in always)
    judges = [samples[i] for i in np.linspace(0, len(samples) - 1, min(len(samples), _JUDGES)).astype(int)]
    with _Quantizer(model, samples, method, keep) as quantizer:
        expected = _outputs(model, judges)

        def noise(quantized: onnx.ModelProto) -> float:
            return _noise(expected, _outputs(quantized, judges))

        quantized = quantizer(layers)
        floating: list[str] = []
        if noise(quantized) > NOISE_LIMIT:
            alone = {layer: noise(quantizer([layer])) for layer in layers}
            worst = sorted(layers, key=lambda layer: -alone[layer])
            for count in _doubling(int(_MOST_FLOAT * len(layers))):
                floating = worst[:count]
                quantized = quantizer([layer for layer in layers if layer not in floating])
                if noise(quantized) <= NOISE_LIMIT:
                    break
    onnx.checker.check_model(quantized, full_check=True)
    return quantized, tuple(_layer_name(model, name) for name in (*always, *floating))


class _Quantizer:
    """Quantises chosen layers of one model, whose activations' ranges are found once."""

    def __init__(
        self, model: onnx.ModelProto, samples: Sequence[Inputs], method: RangeMethod, excluded: set[str]
    ) -> None:
        self.model, self.samples, self.method, self.excluded = model, samples, method, excluded

    def __enter__(self) -> _Quantizer:
        self._stack = contextlib.ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._source, self._target, self._ranges = folder / "fp32.onnx", folder / "int8.onnx", folder / "ranges.json"
        try:
            # What ONNX Runtime fuses by itself when it loads a model is none of the quantiser's business.
            onnx.save(self.model, self._source)
            with quietly():
                calibrator = create_calibrator(
                    self._source,
                    augmented_model_path=str(folder / "augmented.onnx"),
                    calibrate_method=_METHODS[self.method],
                )
                for start in range(0, len(self.samples), _CHUNK):
                    calibrator.collect_data(_Reader(self.samples[start : start + _CHUNK]))
                save_tensors_data(calibrator.compute_data(), self._ranges)
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()

    def __call__(self, layers: Sequence[str]) -> onnx.ModelProto:
        if not layers:  # ONNX Runtime would take that for all
            return self.model
        with quietly():
            quantize_static(
                self._source,
                self._target,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=list(LAYERS),
                nodes_to_quantize=list(layers),
                nodes_to_exclude=list(self.excluded),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=_METHODS[self.method],
                calibration_cache_path=self._ranges,
            )
        quantized = onnx.load(self._target)
        del quantized.metadata_props[:]
        quantized.metadata_props.extend(self.model.metadata_props)
        quantized.producer_name, quantized.producer_version = self.model.producer_name, self.model.producer_version
        return quantized


_METHODS = {"entropy": CalibrationMethod.Entropy, "percentile": CalibrationMethod.Percentile}


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # ONNX Runtime has no types
    """Samples as ONNX Runtime's calibration wants them."""

    def __init__(self, samples: Sequence[Inputs]) -> None:
        self._left = iter(samples)

    def get_next(self) -> Inputs | None:
        return next(self._left, None)


def _outputs(model: onnx.ModelProto, samples: Sequence[Inputs]) -> list[np.ndarray]:
    """Every output for all samples together, float32 [n,...]."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    found = [session.run(None, dict(sample)) for sample in samples]
    return [np.concatenate(values) for values in zip(*found, strict=True)]


def _noise(expected: Sequence[np.ndarray], found: Sequence[np.ndarray]) -> float:
    """The largest of all outputs' noise: mean square of the difference over the variance."""
    return max(
        float(np.square(ours - theirs).mean() / max(float(ours.var()), 1e-12))
        for ours, theirs in zip(expected, found, strict=True)
    )


def _doubling(most: int) -> Iterator[int]:
    """1, 2, 4, ... and ``most``."""
    count = 1
    while count < most:
        yield count
        count *= 2
    yield max(most, 1)


def _layer_name(model: onnx.ModelProto, name: str) -> str:
    """What the checkpoint calls a layer, where the graph still knows."""
    node = next(node for node in model.graph.node if node.name == name)
    return str(node.input[1]).removesuffix(".weight").rpartition("model.")[2]
