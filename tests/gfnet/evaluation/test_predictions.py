from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet.data import open_split
from gfnet.data.batches import PixelDataset
from gfnet.errors import DataError
from gfnet.evaluation import (
    Predictions,
    join_predictions,
    patch_actions,
    predict_all_steps,
    predict_split,
    run_all_steps,
)

# A softmax moves by half of what its logits move: up to 3e-5 in the official float32 runs themselves.
CONFIDENCE_ATOL = 2e-5


def answers(confidence: np.ndarray, predicted: np.ndarray, labels: np.ndarray) -> Predictions:
    """Golden answers; the official code keeps no top-5."""
    return Predictions(confidence, predicted, predicted == labels, labels)


def test_confidences_and_answers_are_the_official_ones(released):
    confidence, predicted = released.logits.softmax(2).max(2)
    np.testing.assert_allclose(confidence, released.expected["softmax_max"], atol=CONFIDENCE_ATOL, rtol=0)
    assert (predicted.numpy() == released.expected["argmax"]).all()


def test_predicting_is_done_in_eval_mode_and_leaves_the_mode_alone(tiny, tiny_batches):
    expected = predict_all_steps(tiny, tiny_batches, 12)
    tiny.train()
    again = predict_all_steps(tiny, tiny_batches, 12)
    assert tiny.training
    tiny.eval()
    assert (again.confidence == expected.confidence).all()


def test_random_patches_follow_their_seed_and_not_the_policy(tiny, tiny_batches):
    def confidence(seed: int | None) -> np.ndarray:
        actions = None if seed is None else patch_actions("random", tiny.config.steps, seed)
        return predict_all_steps(tiny, tiny_batches, 12, actions=actions).confidence

    assert (confidence(1) == confidence(1)).all()
    assert (confidence(1)[0] == confidence(None)[0]).all()  # the glance has no patch
    assert (confidence(1)[1:] != confidence(2)[1:]).any()
    assert (confidence(1)[1:] != confidence(None)[1:]).any()


def test_centre_patches_are_the_same_for_all_images_and_the_policy_keeps_its_own(tiny):
    actions = patch_actions("centre", 3)
    assert actions is not None
    assert torch.equal(actions(4), torch.full((2, 4, 2), 0.5))
    assert patch_actions("policy", 3) is None


def test_given_actions_are_taken(tiny):
    images = torch.randn(2, 3, 96, 96)
    corners = [torch.zeros(2, 2), torch.ones(2, 2)]
    _, taken = run_all_steps(tiny, images, corners)
    assert all(torch.equal(action, corner) for action, corner in zip(taken, corners, strict=True))
    assert not torch.equal(run_all_steps(tiny, images)[1][0], corners[0])


def test_no_images_is_an_error(tiny, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "broken.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="none of the images"):
        predict_split(tiny, PixelDataset(open_split(tmp_path), tiny.config), batch_size=2)


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


def test_answers_are_those_of_the_steps_where_images_stop(tiny, tiny_batches):
    found = predict_all_steps(tiny, tiny_batches, 12)
    exits = np.arange(12) % 3
    stopped = found.answers(exits)
    assert stopped.predicted.shape == (1, 12)
    assert stopped.confidence[0].tolist() == [found.confidence[step, i] for i, step in enumerate(exits)]
