from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from torch import nn

from gfnet.errors import ExportError
from gfnet_export.bundle.manifest import TensorSpec
from gfnet_export.components import components_of
from network_support import recurrent, slow, small_network

pytest.importorskip("coreai_torch", reason="Apple's Core AI has no wheel here, or is not installed")

from gfnet_export.coreai.convert import content_files, write_coreai
from gfnet_export.runtime.core_ai import CoreAISession


def difference(component, path):
    """The largest one of any output, over the largest value of that output."""
    choice = np.random.default_rng(0)
    inputs = {
        spec.name: (choice.random(spec.shape) * (255 if spec.name in ("image", "patch") else 1)).astype(np.float32)
        for spec in component.inputs
    }
    outputs = [spec.name for spec in component.outputs]
    found = CoreAISession(path).run(outputs, inputs)
    expected = component.run(*map(torch.from_numpy, inputs.values()))
    return max(
        float(np.abs(value - expected[name].numpy()).max() / expected[name].abs().max())
        for name, value in zip(outputs, found, strict=True)
    )


@pytest.mark.parametrize("index", [0, 1, slow(2)], ids=["glance", "policy", "focus"])
def test_float32_is_what_torch_computes(index, tmp_path):
    component = components_of(small_network(recurrent()))[index]
    path = tmp_path / f"{component.name}.aimodel"
    write_coreai(component, path, precision="fp32")
    assert difference(component, path) < 1e-5  # other kernels add in another order


def test_long_products_are_not_summed_in_float16(tmp_path):
    """As linear layers, 9,216 products summed one after another in float16 are off by 2e-2."""

    class Long(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.linear = nn.Linear(9216, 64)

        def forward(self, feature_map, hidden):
            return self.linear(feature_map), hidden

    specs = [
        {"name": "feature_map", "shape": (1, 9216)},
        {"name": "hidden", "shape": (1, 4)},
        {"name": "action", "shape": (1, 64)},
        {"name": "new_hidden", "shape": (1, 4)},
    ]
    tensors = [TensorSpec(dtype="float32", **spec) for spec in specs]
    component = dataclasses.replace(
        components_of(small_network())[1],
        module=Long().eval(),
        inputs=tuple(tensors[:2]),
        outputs=tuple(tensors[2:]),
        example=(torch.zeros(1, 9216), torch.zeros(1, 4)),
    )
    path = tmp_path / "long.aimodel"
    write_coreai(component, path, precision="fp16")
    assert difference(component, path) < 2e-3


def test_an_asset_says_what_it_is_and_not_where_it_was_made(tmp_path):
    component = components_of(small_network())[1]
    path = tmp_path / "policy.aimodel"
    write_coreai(component, path, metadata={"role": "policy"})
    told = json.loads((path / "metadata.json").read_text())
    assert (told["author"], told["license"], told["description"]) == ("gfnet", "Apache-2.0", component.description)
    assert told["creatorDefinedMetadata"] == {"role": "policy"}
    assert [file.name for file in content_files(path)] == ["main.hash", "main.mlirb", "metadata.json"]
    assert not any(b"components.py" in file.read_bytes() for file in content_files(path))


def test_an_operator_without_a_core_ai_form_is_named(tmp_path):
    class Odd(nn.Module):
        def forward(self, feature_map, hidden):
            return torch.special.bessel_j0(hidden[:, :2]), hidden

    component = dataclasses.replace(components_of(small_network())[1], module=Odd())
    with pytest.raises(ExportError, match=r"policy: Core AI export failed .*bessel_j0"):
        write_coreai(component, tmp_path / "policy.aimodel", precision="fp32")
    assert not list(tmp_path.iterdir())
