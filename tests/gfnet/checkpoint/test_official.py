from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from checkpoint_support import EVALUATION, assert_same_weights, refusal
from gfnet.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, save_official
from gfnet.config import RELEASED, model_config
from gfnet.errors import CheckpointError
from gfnet.inference.budgets import Evaluation
from gfnet.network.model import GFNet
from gfnet.shipped import shipped_names
from golden import recipe
from golden_support import RELEASED_NAMES, manifest_components, official_content, official_tensors
from network_support import SMALL

# Weights are copied, never computed: every comparison is exact.


def assert_recipe_weights(model: GFNet) -> None:
    for name, value in official_tensors(model):
        component, key = name.split("/")
        assert torch.equal(value, torch.from_numpy(recipe.fill(component, key, value.shape))), name


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def released_content(*, hollow: bool = True) -> dict[str, Any]:
    """What a released file holds; zeros for weights unless asked for them."""
    content = official_content("regnety_600m", 96, prefix="module.", hollow=hollow)
    return content | {"model_name": "regnety_600m", "patch_size": 96, "flops": [1.0] * 5}


@pytest.fixture(scope="module")
def official(tmp_path_factory) -> Checkpoint:
    """A released file with the recipe's weights, loaded; this backbone's parameters are renamed on the way."""
    path = tmp_path_factory.mktemp("official") / "released.pth.tar"
    return load_checkpoint(save(path, released_content(hollow=False)))


# -- networks --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RELEASED_NAMES)
def test_a_released_file_says_what_network_it_holds(name, tmp_path):
    config = RELEASED[name]
    content = official_content(config.arch, config.patch_size, prefix="module.", hollow=True)
    content |= {"model_name": config.arch, "patch_size": config.patch_size, "flops": [1.0] * config.steps}
    checkpoint = load_checkpoint(save(tmp_path / "released.pth.tar", content))
    assert checkpoint.model.config == config
    assert not checkpoint.model.training
    assert checkpoint.untrained == ()
    assert len(checkpoint.labels or ()) == 1000


# Recognising takes seconds; one of two patch sizes with either kind of policy shows most.
QUICKLY_RECOGNISED = {"resnet50_p128_T5", "mobilenetv3_large_100_p96_T3"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICKLY_RECOGNISED else pytest.mark.nightly) for name in RELEASED]
)
def test_a_trainers_file_is_recognised_by_its_shapes(name, tmp_path):
    config = RELEASED[name]
    content = official_content(config.arch, config.patch_size, hollow=True)
    content |= {"epoch": 3, "acc": 70.0, "optimizer": {"state": {}}, "ppo_optimizer": None}
    checkpoint = load_checkpoint(save(tmp_path / "model_best.pth.tar", content))
    assert checkpoint.model.config == config
    assert checkpoint.evaluation is None


def test_every_weight_of_an_official_file_arrives_at_its_place(official):
    assert_recipe_weights(official.model)


def test_results_of_a_released_file_are_kept(tmp_path):
    content = released_content() | {
        "flops": torch.tensor([1e6, 2e6, 3e6]),  # lists, arrays and tensors alike
        "anytime_classification": np.array([40.0, 50.0, 60.0]),
        "dynamic_threshold": torch.tensor([[0.25, 0.5, -1e8], [1e8, 0.5, -1e8]]),
        "budgeted_batch_classification": [[1.5e6, np.float64(2.5e6)], [45.0, 55.0]],
    }
    evaluation = load_checkpoint(save(tmp_path / "released.pth.tar", content)).evaluation
    assert evaluation is not None
    assert evaluation.macs == (1e6, 2e6, 3e6)
    assert evaluation.anytime_top1 == (40.0, 50.0, 60.0)
    assert [point.thresholds for point in evaluation.budgeted] == [(0.25, 0.5, -1e8), (1e8, 0.5, -1e8)]
    assert [point.mean_macs for point in evaluation.budgeted] == [1.5e6, 2.5e6]
    assert [point.top1 for point in evaluation.budgeted] == [45.0, 55.0]


@pytest.mark.parametrize("module", ["numpy._core.multiarray", "numpy.core.multiarray"])
def test_numbers_pickled_by_any_numpy_are_read(module, tmp_path):
    path = tmp_path / "file.pth.tar"
    content = released_content() | {"flops": [np.float64(2.0)] * 4, "anytime_classification": np.array([1.0, 2.0])}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    # The legacy layout holds the names as plain lines, without their lengths.
    path.write_bytes(path.read_bytes().replace(b"cnumpy._core.multiarray\n", f"c{module}\n".encode()))
    assert load_checkpoint(path).model.config.steps == 4


@pytest.mark.parametrize("start", ["_orig_mod.", "module._orig_mod.", "_orig_mod.module."])
def test_a_compiled_network_s_names_are_understood(start, official, tmp_path):
    content = released_content(hollow=False)
    for component in ("model_prime_state_dict", "model_state_dict", "fc", "policy"):
        content[component] = {start + key.removeprefix("module."): value for key, value in content[component].items()}
    assert_same_weights(load_checkpoint(save(tmp_path / "file.pth.tar", content)).model, official.model)


def test_a_stage_1_file_has_an_untrained_policy(tmp_path):
    content = official_content("regnety_600m", 96, hollow=True) | {"policy": None}
    path = save(tmp_path / "stage1.pth.tar", content)
    checkpoint = load_checkpoint(path, arch="regnety_600m", patch_size=64, steps=2)
    assert checkpoint.untrained == ("policy",)
    assert checkpoint.model.config == model_config("regnety_600m", 64, 2)
    with pytest.raises(CheckpointError, match=r"neither a policy nor a patch size in this file; pass --patch-size"):
        load_checkpoint(path, arch="regnety_600m")


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"arch": "resnet50"}, "its arch is regnety_600m, not resnet50; leave out --arch"),
        ({"patch_size": 128}, "its patch-size is 96, not 128; leave out --patch-size"),
        ({"steps": 3}, "its steps is 4, not 3; leave out --steps"),
    ],
)
def test_a_file_that_says_what_it_is_is_believed(told, message, tmp_path):
    content = released_content() | {"model_name": "regnety_600m", "patch_size": 96, "flops": [1.0, 2.0, 3.0, 4.0]}
    path = save(tmp_path / "released.pth.tar", content)
    assert load_checkpoint(path, arch="regnety_600m", patch_size=96, steps=4).model.config.steps == 4
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(path, **told)


def test_steps_are_the_released_ones_unless_they_are_given(tmp_path):
    content = released_content()
    del content["flops"]
    path = save(tmp_path / "file.pth.tar", content)
    assert load_checkpoint(path).model.config.steps == 5
    assert load_checkpoint(path, steps=2).model.config.steps == 2


def test_classes_and_steps_of_a_network_without_results_survive(tmp_path):
    model = GFNet(model_config("mobilenetv3_large_100", 96, 2, num_classes=7))
    save_official(tmp_path / "file.pth.tar", Checkpoint(model))
    checkpoint = load_checkpoint(tmp_path / "file.pth.tar")
    assert checkpoint.model.config == model.config
    assert (checkpoint.evaluation, checkpoint.labels) == (None, None)


@pytest.mark.parametrize(("prefix", "start"), [(True, "module."), (False, "")])
def test_official_files_are_written_as_they_are_read(prefix, start, official, tmp_path):
    path = tmp_path / "again.pth.tar"
    save_official(path, official, prefix=prefix)
    content = torch.load(path, weights_only=True)
    assert (content["model_name"], content["patch_size"]) == ("regnety_600m", 96)
    for component, entries in manifest_components("regnety_600m", 96).items():
        before = start if component.startswith("model_") else ""
        assert {before + key for key, _, _ in entries} == content[component].keys()
    again = load_checkpoint(path)
    assert again.model.config == official.model.config
    assert_same_weights(official.model, again.model)


def test_results_survive_in_an_official_file(tmp_path):
    model = GFNet(model_config("mobilenetv3_large_100", 96, 3, num_classes=7))
    known = Evaluation(EVALUATION.images, EVALUATION.macs, EVALUATION.anytime_top1, EVALUATION.budgeted[:1])
    save_official(tmp_path / "file.pth.tar", Checkpoint(model, evaluation=known))
    evaluation = load_checkpoint(tmp_path / "file.pth.tar").evaluation
    assert evaluation is not None
    assert evaluation.macs == known.macs
    assert evaluation.anytime_top1 == known.anytime_top1
    (point,) = evaluation.budgeted
    # The official layout has no place for the searched budget and the exits.
    assert (point.thresholds, point.top1, point.mean_macs) == ((0.25, 0.5, -1e8), 50.0, 1.25e6)


def test_networks_that_the_official_code_cannot_build_are_not_written_for_it(tmp_path):
    with pytest.raises(CheckpointError, match=r"no backbone 'test_resnet'; save as \.safetensors"):
        save_official(tmp_path / "file.pth.tar", Checkpoint(GFNet(SMALL)))
    other = GFNet(model_config("mobilenetv3_large_100", 96, 3, num_classes=7, image_size=160, policy_hidden=64))
    with pytest.raises(CheckpointError, match=r"cannot say that image_size, policy_hidden differ"):
        save_official(tmp_path / "file.pth.tar", Checkpoint(other))
    assert not list(tmp_path.iterdir())


def test_an_official_file_becomes_one_of_ours_without_loss(official, tmp_path):
    save_checkpoint(tmp_path / "file.safetensors", official)
    ours = load_checkpoint(tmp_path / "file.safetensors")
    assert ours.model.config == official.model.config
    assert_same_weights(official.model, ours.model)


# -- files that are none -----------------------------------------------------------------------------------


def test_a_missing_file_and_a_folder_are_no_checkpoint(tmp_path):
    shipped = ", ".join(shipped_names())
    assert refusal(tmp_path / "nothing.pth.tar") == f"no such file, nor an included network ({shipped})"
    assert refusal(tmp_path).startswith("a folder, not a checkpoint file")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_truncated_files_are_refused(share, tmp_path):
    path = save(tmp_path / "whole.pth.tar", released_content())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "damaged" in refusal(path) or "no checkpoint" in refusal(path)


@pytest.mark.parametrize("start", [b"", b"\x80\x02", b"PK\x03\x04"], ids=["nothing", "pickle", "zip"])
def test_random_bytes_are_refused_whatever_they_begin_with(start, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "random.pth.tar"
    for _ in range(40):
        path.write_bytes(start + rng.bytes(int(rng.integers(1, 2000))))
        refusal(path)


def test_damaged_bytes_inside_a_legacy_file_are_refused(tmp_path):
    path = tmp_path / "legacy.pth.tar"
    torch.save({"fc": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(100):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 4):
            damaged[position] = rng.integers(256)
        path.write_bytes(damaged)
        refusal(path)


class _Touch:
    """Unpickling this creates a file: what a hostile checkpoint could do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("layout", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_refused_and_not_run(layout, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "hostile.pth.tar"
    content = released_content() | {"epoch": _Touch(victim)}
    if layout == "pickle":
        path.write_bytes(pickle.dumps({"epoch": _Touch(victim)}))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=layout == "zip")
    assert "nothing in it was run" in refusal(path)
    assert not victim.exists()
    # The file is hostile indeed: who unpickles it, runs it.
    if layout == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert victim.exists()


def test_missing_keys_are_named_as_the_file_would_name_them(tmp_path):
    content = released_content()
    blocks = [f"s1.b1.{name}" for name in ("f.a.weight", "f.a_bn.weight", "f.b.weight", "f.c.weight", "proj.weight")]
    for name in blocks:
        del content["model_state_dict"][f"module.{name}"]
    message = refusal(save(tmp_path / "file.pth.tar", content))
    assert message.startswith("model_state_dict does not fit the network: missing ")
    named, _, more = message.split("missing ")[1].partition(" and ")
    assert more == "2 more"
    assert set(named.split(", ")) < set(blocks)


def test_unexpected_keys_are_named(tmp_path):
    content = released_content()
    content["model_prime_state_dict"]["module.head.weight"] = torch.zeros(1)
    message = refusal(save(tmp_path / "file.pth.tar", content))
    assert message == "model_prime_state_dict does not fit the network: unexpected head.weight"


def test_wrong_shapes_are_named_with_both_shapes(tmp_path):
    content = released_content()
    content["model_state_dict"]["module.s1.b1.f.a.weight"] = torch.zeros(48, 32, 3, 3)
    content["policy"]["actor.0.bias"] = torch.zeros(3)  # the first component that does not fit is enough
    message = refusal(save(tmp_path / "file.pth.tar", content))
    assert message == (
        "model_state_dict does not fit the network: wrong shape: s1.b1.f.a.weight is (48, 32, 3, 3), not (48, 32, 1, 1)"
    )


def test_a_policy_of_another_patch_size_is_named(tmp_path):
    message = refusal(save(tmp_path / "file.pth.tar", released_content() | {"patch_size": 128}))
    assert message.startswith("policy does not fit the network: wrong shape: state_encoder.3.weight is (256, 288)")


def test_an_unknown_model_name_is_told_with_the_known_ones(tmp_path):
    message = refusal(save(tmp_path / "file.pth.tar", released_content() | {"model_name": "resnet101"}))
    assert message.startswith("unknown model_name 'resnet101'; known are resnet50, ")


def test_a_backbone_that_is_not_recognised_is_told(tmp_path):
    content = released_content()
    del content["model_name"], content["model_state_dict"]["module.s4.b1.proj.weight"]
    assert "none of the official backbones; pass --arch" in refusal(save(tmp_path / "file.pth.tar", content))


@pytest.mark.parametrize(
    ("component", "value", "message"),
    [
        ("fc", None, "component fc is missing"),
        ("model_prime_state_dict", None, "component model_prime_state_dict is missing"),
        ("model_state_dict", [1], "component model_state_dict is not a state dict"),
        ("policy", [1], "component policy is not a state dict"),
        ("fc", {3: torch.zeros(1)}, "component fc is not a state dict"),
        ("fc", {"fc.weight": "text"}, "fc does not fit the network: missing rnn.weight_ih_l0"),
        ("model_name", ["regnety_600m"], "unknown model_name ['regnety_600m']"),
        ("patch_size", "large", "patch_size or flops is damaged"),
        ("patch_size", -96, "patch_size is -96"),
        ("flops", 5.0, "patch_size or flops is damaged"),
        ("flops", ["1"] * 5, "flops holds a str, not a number"),
        ("flops", "12345", "flops is a str, not a list"),
        ("flops", [1.0] * 65, "steps is 65; use a whole number from 1 to 64"),
        ("flops", torch.zeros(1).expand(10**12), "flops has 1000000000000 values"),
        ("flops", torch.zeros(5).to_sparse(), "flops is a Tensor, not a list"),
        ("patch_size", torch.zeros(3), "patch_size or flops is damaged"),
        ("patch_size", 10**9, "patch_size is 1000000000; use"),
        ("patch_size", float("inf"), "patch_size or flops is damaged"),
        ("model_name", torch.zeros(3), "unknown model_name tensor"),
        ("fc", {"fc.weight": torch.zeros(1).expand(10**9, 1024)}, "num_classes is 1000000000; use"),
        ("policy", {"actor.0.bias": torch.zeros(1).expand(10**12)}, "policy does not fit the network"),
    ],
)
def test_files_with_strange_content_are_refused(component, value, message, tmp_path):
    assert message in refusal(save(tmp_path / "file.pth.tar", released_content() | {component: value}))


@pytest.mark.parametrize(
    ("thresholds", "budgeted"),
    [
        (torch.zeros(39, 3), [[1.0] * 39, [1.0] * 39]),
        (torch.zeros(39, 5), [[1.0] * 3, [1.0] * 3]),
    ],
    ids=["steps", "budgets"],
)
def test_results_that_do_not_fit_the_network_are_refused(thresholds, budgeted, tmp_path):
    content = released_content() | {
        "anytime_classification": [50.0] * 5,
        "dynamic_threshold": thresholds,
        "budgeted_batch_classification": budgeted,
    }
    assert "evaluation results are damaged" in refusal(save(tmp_path / "file.pth.tar", content))


RESULTS = {
    "anytime_classification": [50.0] * 5,
    "dynamic_threshold": torch.full((2, 5), 0.5),
    "budgeted_batch_classification": [[1.0, 2.0], [50.0, 60.0]],
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("anytime_classification", [50.0] * 4, "anytime_top1 has 4 values for 5 steps"),
        ("anytime_classification", [float("nan")] * 5, "anytime_top1 is nan"),
        ("anytime_classification", [150.0] * 5, "anytime_top1 is 150.0"),
        ("anytime_classification", {"a": 1}, "anytime_classification is a dict, not a list"),
        ("anytime_classification", [[50.0]] * 5, "anytime_classification holds a list, not a number"),
        ("dynamic_threshold", torch.full((2, 5), torch.inf), "thresholds is inf"),
        ("dynamic_threshold", 0.5, "dynamic_threshold is a float, not a list"),
        ("dynamic_threshold", torch.zeros(1, 1).expand(10**9, 10**6), "dynamic_threshold has 1000000000 values"),
        ("dynamic_threshold", [["0.5"] * 5] * 2, "dynamic_threshold holds a str, not a number"),
        ("budgeted_batch_classification", [[1.0, 2.0]], "not enough values"),
        ("budgeted_batch_classification", [[-1.0, 2.0], [50.0, 60.0]], "budget is -1.0"),
    ],
)
def test_results_that_nobody_measures_are_refused(name, value, message, tmp_path):
    content = released_content() | RESULTS | {name: value}
    told = refusal(save(tmp_path / "file.pth.tar", content))
    assert told.startswith("its evaluation results are damaged (")
    assert message in told


def test_an_archive_that_grows_is_refused(tmp_path):
    path = save(tmp_path / "file.pth.tar", released_content() | {"epoch": torch.zeros(10**6)})
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "small.pth.tar", "w") as small:
        for name in archive.namelist():
            small.writestr(name, archive.read(name), zipfile.ZIP_DEFLATED)
    assert torch.load(tmp_path / "small.pth.tar", weights_only=True)["epoch"].shape == (10**6,)
    assert "a compressed archive, which torch never writes" in refusal(tmp_path / "small.pth.tar")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(3), {}], ids=["list", "tensor", "empty"])
def test_other_things_that_torch_saves_are_no_checkpoint(content, tmp_path):
    assert "not a checkpoint of the official code" in refusal(save(tmp_path / "file.pth.tar", content))
