from __future__ import annotations

import numpy as np
import pytest
import torch

from gfnet.checkpoint import Checkpoint
from gfnet.checkpoint.predictor import TorchRunner, torch_predictor
from gfnet.errors import ImageError
from gfnet.evaluation import run_all_steps
from gfnet.inference.images import find_images
from network_support import SMALL, photograph, recurrent, small_network

# A batch's sums run in another order than a single image's.
LOGITS_TOLERANCE = 1e-3


@pytest.fixture(scope="module")
def photos(scenes):
    return find_images([scenes / "val"])


def decisions(traces):
    return [(t.exit_step, t.class_index, [step.origin for step in t.steps]) for t in traces]


@pytest.mark.parametrize("config", [SMALL, recurrent()], ids=["cascade", "recurrent"])
def test_shrinking_batches_decide_like_single_images(photos, config):
    checkpoint = Checkpoint(small_network(config))
    everything = torch_predictor(checkpoint, batch_size=7)(photos)
    thresholds = (*(float(np.median([t.steps[i].confidence for t in everything])) for i in range(2)), -1e8)
    alone = torch_predictor(checkpoint, batch_size=1)(photos, thresholds)
    together = torch_predictor(checkpoint, batch_size=40)(photos, thresholds)
    assert len({trace.exit_step for trace in alone}) == 3
    assert decisions(alone) == decisions(together)
    for one, other in zip(alone, together, strict=True):
        for step, twin in zip(one.steps, other.steps, strict=True):
            np.testing.assert_allclose(step.logits, twin.logits, atol=LOGITS_TOLERANCE)


def test_all_steps_equal_the_evaluation_loop(photos, checkpoint):
    predictor = torch_predictor(checkpoint, batch_size=40)
    traces = predictor(photos)
    pixels = np.stack([predictor.preprocessing(photo) for photo in map(_open, photos)])
    images = checkpoint.model.normalise(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    logits, _ = run_all_steps(checkpoint.model, images)
    for step in range(3):
        ours = np.stack([trace.steps[step].logits for trace in traces])
        np.testing.assert_allclose(ours, logits[step].numpy(), atol=LOGITS_TOLERANCE)


def _open(path):
    from gfnet.inference.images import load_image

    return load_image(path)


def test_images_of_any_size_and_kind_are_taken(checkpoint):
    predictor = torch_predictor(checkpoint)
    picture = photograph(130, 70)
    pixels = np.asarray(picture)
    planes = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    traces = predictor([picture, pixels, planes, picture.convert("L"), photograph(500, 20)])
    assert [trace.image for trace in traces] == [f"image {i}" for i in range(5)]
    assert decisions(traces[:1]) == decisions(traces[1:2]) == decisions(traces[2:3])


def test_an_unreadable_image_raises_or_is_collected(checkpoint, odd_images):
    files = find_images([odd_images])
    with pytest.raises(ImageError, match=r"empty\.png"):
        torch_predictor(checkpoint)(files)
    unreadable = []
    seen = list(torch_predictor(checkpoint, batch_size=4).stream(files, unreadable=unreadable))
    assert len(seen) == len(files) - 3
    assert len(unreadable) == 3


def test_the_runner_leaves_no_gradient_behind(checkpoint):
    logits, state = TorchRunner(checkpoint.model).glance(np.zeros((1, 96, 96, 3), np.uint8))
    assert isinstance(logits, np.ndarray)
    assert not state.network.memory.requires_grad
