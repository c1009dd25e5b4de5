"""The recipe behind the fixtures makes what it made when they were recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

import golden_inputs
from golden import recipe
from golden_support import GOLDEN, outputs

CHECKS = json.loads((GOLDEN / "recipe_checks.json").read_text())
LARGEST = 1_000_000  # values; larger tensors take seconds and follow the same rule


@pytest.mark.parametrize(
    "entry",
    [entry for entry in CHECKS["weights"] if np.prod(entry["shape"]) <= LARGEST],
    ids=lambda entry: f"{entry['component']}/{entry['key']}",
)
def test_recipe_makes_the_recorded_weights(entry):
    value = recipe.fill(entry["component"], entry["key"], entry["shape"])
    assert str(value.dtype) == entry["dtype"]
    assert recipe.sha(value) == entry["sha256"]


@pytest.mark.parametrize("entry", CHECKS["images"], ids=lambda entry: str(entry["S"]))
def test_recipe_makes_the_recorded_images(entry):
    assert recipe.sha(recipe.images(entry["S"])) == entry["sha256"]


@pytest.mark.parametrize("steps", [3, 5])
@pytest.mark.parametrize(("split", "seed"), [("train", 1000), ("test", 2000)])
def test_recipe_makes_the_recorded_probabilities(steps, split, seed):
    values, label = golden_inputs.probabilities(steps, 2000, 50, seed + steps)
    recorded = outputs("thresholds")
    assert recipe.sha(values) == recorded[f"T{steps}_{split}_sha256"]
    assert (values.max(2) == recorded[f"T{steps}_{split}_conf"]).all()
    assert (values.argmax(2) == recorded[f"T{steps}_{split}_pred"]).all()
    assert (label == recorded[f"T{steps}_{split}_label"]).all()


def test_recipe_makes_the_recorded_ties():
    values, _ = golden_inputs.degenerate_probabilities()
    assert recipe.sha(values) == outputs("thresholds")["deg_sha256"]


@pytest.mark.parametrize("kind", ["conv", "lin"])
@pytest.mark.parametrize("steps", [2, 4])
def test_recipe_makes_the_recorded_policy_states(kind, steps):
    states = golden_inputs.ppo_states(kind == "conv", steps)
    assert recipe.sha(states) == outputs("ppo")[f"{kind}_s{steps}_states_sha256"]
