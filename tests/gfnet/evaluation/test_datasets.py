from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gfnet.checkpoint import load_checkpoint
from gfnet.config import RELEASED
from gfnet.data import open_split
from gfnet.data.batches import Batches, PixelDataset
from gfnet.errors import BudgetError, DataError
from gfnet.evaluation import (
    evaluate,
    evaluate_dataset,
    predict_all_steps,
)
from golden_support import official_content, outputs

# A softmax moves by half of what its logits move: up to 3e-5 in the official float32 runs themselves.
CONFIDENCE_ATOL = 2e-5
# Per cent.  The official meter multiplies by 100 / n in float32, so 1 of 4 comes out as 24.999999; ours counts.
ACCURACY_ATOL = 1e-4


@pytest.fixture(scope="module")
def released_file(tmp_path_factory) -> Path:
    """A file as the authors released them, with the weights of the recorded end-to-end run."""
    golden = outputs("e2e_mobilenetv3_large_100_p96_T3")
    content = official_content("mobilenetv3_large_100", 96, prefix="module.")
    for name in golden["boosted_bias_keys"]:  # so that the few classes of the folder win sometimes
        component, key = name.split("/")
        content[component][key][:4] += 4.0
    content |= {
        "model_name": "mobilenetv3_large_100",
        "patch_size": 96,
        "model_flops": 1.0,
        "policy_flops": 1.0,
        "fc_flops": [1.0, 1.0, 1.0],
        "flops": golden["flops"].tolist(),
        "anytime_classification": golden["anytime_classification"].tolist(),
        "dynamic_threshold": torch.from_numpy(golden["dynamic_threshold"]),
        "budgeted_batch_classification": [golden["expected_flops"].tolist(), golden["accuracy"].tolist()],
    }
    path = tmp_path_factory.mktemp("released") / "released.pth.tar"
    torch.save(content, path)
    return path


def test_a_released_file_on_a_folder_of_images_gives_the_official_numbers(released_file, picture_folder):
    golden = outputs("e2e_mobilenetv3_large_100_p96_T3")
    checkpoint = load_checkpoint(released_file)
    stored = checkpoint.evaluation
    assert stored is not None
    assert checkpoint.model.config == RELEASED["mobilenetv3_large_100_p96_T3"]
    assert stored.macs == tuple(golden["flops"])
    assert stored.anytime_top1 == tuple(golden["anytime_classification"])
    thresholds = np.array([point.thresholds for point in stored.budgeted], np.float32)
    assert (thresholds == golden["dynamic_threshold"]).all()

    split = open_split(picture_folder)
    batches = Batches(PixelDataset(split, checkpoint.model.config), batch_size=5)
    predictions = predict_all_steps(checkpoint.model, batches, len(split.samples))
    np.testing.assert_allclose(predictions.confidence, golden["probs_max"], atol=CONFIDENCE_ATOL, rtol=0)
    assert (predictions.predicted == golden["argmax"]).all()
    assert (predictions.labels == golden["targets"]).all()

    # No recorded confidence lies within 1e-3 of a threshold, so these are exact.
    measured = evaluate(predictions, stored.macs, thresholds, [point.budget for point in stored.budgeted])
    assert measured.images == 12
    np.testing.assert_allclose(measured.anytime_top1, golden["anytime_classification"], atol=ACCURACY_ATOL, rtol=0)
    assert [point.top1 for point in measured.budgeted] == golden["accuracy"].tolist()
    assert [point.mean_macs for point in measured.budgeted] == golden["expected_flops"].tolist()


def test_stored_thresholds_on_the_same_folder_give_the_stored_results(checkpoint, scenes):
    measured = evaluate_dataset(checkpoint.model, scenes, checkpoint.evaluation, thresholds="saved")
    assert measured.evaluations == {"saved": checkpoint.evaluation}
    assert measured.unreadable == []
    assert measured.search == "stored with the network"


def test_searched_thresholds_come_from_the_training_split(checkpoint, scenes):
    searched = evaluate_dataset(checkpoint.model, scenes, checkpoint.evaluation, thresholds="search")
    assert searched.search == "train (60 images)"
    measured = searched.evaluation
    few = evaluate_dataset(checkpoint.model, scenes, None, search_images=7).evaluation  # nothing stored: searched
    assert measured.anytime_top1 == few.anytime_top1 == checkpoint.evaluation.anytime_top1
    rows = [
        [point.thresholds for point in evaluation.budgeted] for evaluation in (measured, few, checkpoint.evaluation)
    ]
    assert rows[0] != rows[1] != rows[2] != rows[0]


def test_optimal_thresholds_come_with_the_geometric_rule_on_the_same_images(checkpoint, scenes):
    measured = evaluate_dataset(checkpoint.model, scenes, checkpoint.evaluation, solver="optimal")
    geometric = evaluate_dataset(checkpoint.model, scenes, None).evaluation
    assert list(measured.evaluations) == ["optimal", "geometric"]
    assert measured.evaluations["geometric"] == geometric
    for ours, theirs in zip(measured.evaluation.budgeted, geometric.budgeted, strict=True):
        assert ours.budget <= theirs.budget * (1 + 1e-6)


def test_half_of_val_searches_and_the_other_half_is_evaluated(checkpoint, scenes):
    measured = evaluate_dataset(checkpoint.model, scenes, None, search_split="val")
    assert measured.evaluation.images == 20
    assert np.bincount(measured.predictions.labels).tolist() == [2] * 10
    assert measured.search == "every second image of each class of val, the others evaluated (20 images)"


def test_a_split_to_search_must_exist_and_fit(checkpoint, scenes, picture_folder, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        evaluate_dataset(checkpoint.model, scenes, None, search_split="held_out")
    (tmp_path / "val").symlink_to(scenes / "val")
    (tmp_path / "held_out").symlink_to(picture_folder)
    with pytest.raises(DataError, match=r"held_out: 4 classes, but the network has 10"):
        evaluate_dataset(checkpoint.model, tmp_path, None, search_split="held_out")


def test_a_split_to_search_may_lack_classes(checkpoint, scenes, tmp_path):
    (tmp_path / "val").symlink_to(scenes / "val")
    for name in ("train/star", "train/ring", "few/star", "few/ring"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(scenes / "train" / name.split("/")[1])
    measured = evaluate_dataset(checkpoint.model, tmp_path, None, search_split="few")
    assert measured.search == "few (12 images)"
    whole = evaluate_dataset(checkpoint.model, scenes, None)
    assert measured.evaluation.anytime_top1 == whole.evaluation.anytime_top1


def test_other_patches_than_the_policy_s_change_the_focus_steps_only(checkpoint, scenes):
    evaluations = [
        evaluate_dataset(checkpoint.model, scenes, None, patches=patches, seed=seed).predictions.confidence
        for patches, seed in (("policy", 0), ("random", 0), ("random", 0), ("random", 1), ("centre", 0))
    ]
    policy, first, again, second, centre = evaluations
    assert (first == again).all()
    for other in (first, second, centre):
        assert (other[0] == policy[0]).all()
        assert (other[1:] != policy[1:]).any()
    assert (first[1:] != second[1:]).any()


@pytest.mark.parametrize("search", [{"solver": "optimal"}, {"search_split": "val"}, {"search_images": 7}])
def test_saved_thresholds_and_a_search_exclude_one_another(checkpoint, scenes, search):
    with pytest.raises(BudgetError, match="not searched for"):
        evaluate_dataset(checkpoint.model, scenes, checkpoint.evaluation, thresholds="saved", **search)


def test_saved_thresholds_must_exist(checkpoint, scenes):
    with pytest.raises(BudgetError, match="no thresholds are stored"):
        evaluate_dataset(checkpoint.model, scenes, None, thresholds="saved")


def test_a_folder_of_other_classes_is_refused(tiny, checkpoint, picture_folder, tmp_path):
    (tmp_path / "val").symlink_to(picture_folder)
    with pytest.raises(DataError, match="4 classes, but the network has 10"):
        evaluate_dataset(tiny, tmp_path, checkpoint.evaluation)
