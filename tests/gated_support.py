"""A component with squeeze-and-excite in it, whose gates differ from channel to channel."""

from __future__ import annotations

import onnx
import onnxruntime as ort
import torch
from torch import Tensor, nn

from gfnet_export.bundle import tensor_names as names
from gfnet_export.bundle.manifest import TensorSpec
from gfnet_export.components import Component


class Gated(nn.Module):
    """Pixels [1,3,16,16] to logits [1,20] and a map [1,16,8,8]."""

    shift: Tensor
    scale: Tensor

    def __init__(self, channels: int, squeezed: int, gate: nn.Module) -> None:
        super().__init__()
        self.register_buffer("shift", torch.rand(1, 3, 1, 1) * 128)
        self.register_buffer("scale", 0.01 + 0.01 * torch.rand(1, 3, 1, 1))
        self.stem = nn.Conv2d(3, channels, 3, stride=2, padding=1)
        self.squeeze, self.excite = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)
        self.gate, self.project = gate, nn.Conv2d(channels, 16, 1)
        self.head = nn.Linear(16, 20)
        with torch.no_grad():
            self.excite.weight.mul_(20)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.stem((image - self.shift) * self.scale))
        gate = self.gate(self.excite(torch.relu(self.squeeze(x.mean((2, 3), keepdim=True)))))
        feature_map = self.project(x * gate)
        return self.head(feature_map.mean((2, 3))), feature_map


def gated(channels: int = 32, squeezed: int = 16, gate: nn.Module | None = None) -> Component:
    """Such a component; the same for the same arguments."""
    torch.manual_seed(0)
    module = Gated(channels, squeezed, gate or nn.Hardsigmoid()).eval()
    image = torch.randint(0, 256, (1, 3, 16, 16)).float()
    outputs = zip((names.LOGITS, names.FEATURE_MAP), ((1, 20), (1, 16, 8, 8)), strict=True)
    return Component(
        name="gated",
        role="glance",
        steps=(1,),
        description="",
        module=module,
        inputs=(TensorSpec(name=names.IMAGE, shape=(1, 3, 16, 16), dtype="float32"),),
        outputs=tuple(TensorSpec(name=name, shape=shape, dtype="float32") for name, shape in outputs),
        example=(image,),
    )


def optimised(model: onnx.ModelProto, folder) -> list[str]:
    """Operators that ONNX Runtime really runs for a model, in order."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [node.op_type for node in onnx.load(folder / "optimised.onnx").graph.node]
