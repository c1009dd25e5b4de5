from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gfnet.batches import Batches, PixelDataset
from gfnet.checkpoint import load_checkpoint
from gfnet.config import RELEASED, model_config
from gfnet.data import open_split
from gfnet.errors import BudgetError, DataError
from gfnet.evaluation import (
    Predictions,
    anytime_top1,
    evaluate,
    evaluate_folder,
    exit_quotas,
    find_optimal_thresholds,
    find_thresholds,
    join_predictions,
    predict_all_steps,
    run_all_steps,
)
from gfnet.exits import exit_steps
from gfnet.model import GFNet
from golden_inputs import pictures
from golden_support import case, official_content, outputs

# A softmax moves by half of what its logits move: up to 3e-5 in the official float32 runs themselves.
CONFIDENCE_ATOL = 2e-5
# Per cent.  The official meter multiplies by 100 / n in float32, so 1 of 4 comes out as 24.999999; ours counts.
ACCURACY_ATOL = 1e-4


def answers(confidence: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> Predictions:
    """Golden answers; the official code keeps no top-5."""
    return Predictions(confidence, predicted, predicted == labels, labels)


def test_confidences_and_answers_are_the_official_ones(released):
    confidence, predicted = released.logits.softmax(2).max(2)
    np.testing.assert_allclose(confidence, released.expected["softmax_max"], atol=CONFIDENCE_ATOL, rtol=0)
    assert (predicted.numpy() == released.expected["argmax"]).all()


def test_anytime_accuracy_is_the_official_one(released):
    confidence, predicted = released.logits.softmax(2).max(2)
    predictions = answers(confidence.numpy(), predicted.int().numpy(), released.expected["targets"])
    accuracies = anytime_top1(predictions)
    np.testing.assert_allclose(accuracies, released.expected["anytime_classification"], atol=ACCURACY_ATOL, rtol=0)


@pytest.mark.parametrize("steps", [3, 5])
def test_quotas_are_the_official_ones_to_the_last_bit(steps):
    quotas = exit_quotas(steps)
    assert quotas.dtype == np.float32
    assert (quotas == outputs("thresholds")[f"T{steps}_probs"]).all()


def test_thresholds_come_with_what_they_cost_on_the_same_images():
    golden = case("thresholds", "deg_")  # found and evaluated on the same images
    thresholds, budgets = find_thresholds(
        answers(golden["conf"], golden["pred"], golden["label"]), outputs("thresholds")["T3_flops"]
    )
    assert (thresholds == golden["thresholds"]).all()
    assert list(budgets) == golden["expected_flops"].tolist()


@pytest.fixture(scope="module")
def picture_folder(tmp_path_factory) -> Path:
    """The golden pictures as an image folder."""
    root = tmp_path_factory.mktemp("pictures")
    for label, class_pictures in enumerate(pictures()):
        folder = root / f"class_{label}"
        folder.mkdir()
        for i, pixels in enumerate(class_pictures):
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


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


@pytest.fixture(scope="module")
def tiny() -> GFNet:
    torch.manual_seed(0)
    return GFNet(model_config("test_resnet", 32, 3, num_classes=10, image_size=96)).eval()


@pytest.fixture
def tiny_batches(tiny, picture_folder):
    return Batches(PixelDataset(open_split(picture_folder), tiny.config), batch_size=5)


def test_predicting_is_done_in_eval_mode_and_leaves_the_mode_alone(tiny, tiny_batches):
    expected = predict_all_steps(tiny, tiny_batches, 12)
    tiny.train()
    again = predict_all_steps(tiny, tiny_batches, 12)
    assert tiny.training
    tiny.eval()
    assert (again.confidence == expected.confidence).all()


def test_random_patches_follow_their_seed_and_not_the_policy(tiny, tiny_batches):
    def confidence(seed: int | None) -> np.ndarray:
        generator = None if seed is None else torch.Generator().manual_seed(seed)
        return predict_all_steps(tiny, tiny_batches, 12, random_patches=generator).confidence

    assert (confidence(1) == confidence(1)).all()
    assert (confidence(1)[0] == confidence(None)[0]).all()  # the glance has no patch
    assert (confidence(1)[1:] != confidence(2)[1:]).any()
    assert (confidence(1)[1:] != confidence(None)[1:]).any()


def test_given_actions_are_taken(tiny):
    images = torch.randn(2, 3, 96, 96)
    corners = [torch.zeros(2, 2), torch.ones(2, 2)]
    _, taken = run_all_steps(tiny, images, corners)
    assert all(torch.equal(action, corner) for action, corner in zip(taken, corners, strict=True))
    assert not torch.equal(run_all_steps(tiny, images)[1][0], corners[0])


def test_no_images_is_an_error(tiny):
    with pytest.raises(DataError, match="none of the images"):
        predict_all_steps(tiny, [], 0)


def test_stored_thresholds_on_the_same_folder_give_the_stored_results(checkpoint, scenes):
    measured = evaluate_folder(checkpoint.model, scenes, checkpoint.evaluation, thresholds="saved")
    assert measured.evaluations == {"saved": checkpoint.evaluation}
    assert measured.unreadable == []
    assert measured.search == "stored with the network"


def test_searched_thresholds_come_from_the_training_split(checkpoint, scenes):
    searched = evaluate_folder(checkpoint.model, scenes, checkpoint.evaluation, thresholds="search")
    assert searched.search == "train (60 images)"
    measured = searched.evaluation
    few = evaluate_folder(checkpoint.model, scenes, None, search_images=7).evaluation  # nothing stored: searched
    assert measured.anytime_top1 == few.anytime_top1 == checkpoint.evaluation.anytime_top1
    rows = [
        [point.thresholds for point in evaluation.budgeted] for evaluation in (measured, few, checkpoint.evaluation)
    ]
    assert rows[0] != rows[1] != rows[2] != rows[0]


def test_a_bounded_number_of_values_is_kept_of_an_image(tiny, tiny_batches):
    found = predict_all_steps(tiny, tiny_batches, 12)
    assert {values.shape for values in (found.confidence, found.predicted, found.in_top5)} == {(3, 12)}
    assert (found.in_top5 >= found.correct).all()
    assert 0 < found.in_top5.mean() < 1


def test_joined_predictions_are_those_of_all_images(tiny, tiny_batches):
    found = predict_all_steps(tiny, tiny_batches, 12)
    parts = [
        Predictions(found.confidence[:, i], found.predicted[:, i], found.in_top5[:, i], found.labels[i])
        for i in (slice(0, 5), slice(5, 12))
    ]
    joined = join_predictions(parts)
    for name in ("confidence", "predicted", "in_top5", "labels"):
        assert (getattr(joined, name) == getattr(found, name)).all()
    with pytest.raises(DataError, match="none of the images"):
        join_predictions([])


def test_answers_are_those_of_the_steps_where_images_stop(tiny, tiny_batches):
    found = predict_all_steps(tiny, tiny_batches, 12)
    exits = np.arange(12) % 3
    stopped = found.answers(exits)
    assert stopped.predicted.shape == (1, 12)
    assert stopped.confidence[0].tolist() == [found.confidence[step, i] for i, step in enumerate(exits)]


def test_optimal_thresholds_come_with_the_geometric_rule_on_the_same_images(checkpoint, scenes):
    measured = evaluate_folder(checkpoint.model, scenes, checkpoint.evaluation, solver="optimal")
    geometric = evaluate_folder(checkpoint.model, scenes, None).evaluation
    assert list(measured.evaluations) == ["optimal", "geometric"]
    assert measured.evaluations["geometric"] == geometric
    for ours, theirs in zip(measured.evaluation.budgeted, geometric.budgeted, strict=True):
        assert ours.budget <= theirs.budget * (1 + 1e-6)


def test_budgets_of_time_are_kept_by_optimal_thresholds(tiny, tiny_batches):
    found, macs, step_ms = predict_all_steps(tiny, tiny_batches, 12), [1.0, 2.0, 3.0], [1.0, 5.0, 5.5]
    geometric, _ = find_thresholds(found, macs)
    optimal, budgets = find_optimal_thresholds(found, macs, step_ms)

    def spent(row, cost):
        return np.array(cost)[exit_steps(found.confidence, row)].mean()

    for ours, theirs, budget in zip(optimal, geometric, budgets, strict=True):
        assert spent(ours, step_ms) <= spent(theirs, step_ms) * (1 + 1e-9)
        assert budget == pytest.approx(spent(ours, macs))


def test_half_of_val_searches_and_the_other_half_is_evaluated(checkpoint, scenes):
    measured = evaluate_folder(checkpoint.model, scenes, None, search_split="val")
    assert measured.evaluation.images == 20
    assert np.bincount(measured.predictions.labels).tolist() == [2] * 10
    assert measured.search == "every second image of each class of val, the others evaluated (20 images)"


def test_a_split_to_search_must_exist_and_fit(checkpoint, scenes, picture_folder, tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        evaluate_folder(checkpoint.model, scenes, None, search_split="held_out")
    (tmp_path / "val").symlink_to(scenes / "val")
    (tmp_path / "held_out").symlink_to(picture_folder)
    with pytest.raises(DataError, match="held_out/ and val/ have different classes"):
        evaluate_folder(checkpoint.model, tmp_path, None, search_split="held_out")


@pytest.mark.parametrize("search", [{"solver": "optimal"}, {"search_split": "val"}, {"search_images": 7}])
def test_saved_thresholds_and_a_search_exclude_one_another(checkpoint, scenes, search):
    with pytest.raises(BudgetError, match="not searched for"):
        evaluate_folder(checkpoint.model, scenes, checkpoint.evaluation, thresholds="saved", **search)


def test_saved_thresholds_must_exist(checkpoint, scenes):
    with pytest.raises(BudgetError, match="no thresholds are stored"):
        evaluate_folder(checkpoint.model, scenes, None, thresholds="saved")


def test_a_folder_of_other_classes_is_refused(tiny, checkpoint, picture_folder, tmp_path):
    (tmp_path / "val").symlink_to(picture_folder)
    with pytest.raises(DataError, match="4 classes, but the network tells 10 apart"):
        evaluate_folder(tiny, tmp_path, checkpoint.evaluation)
