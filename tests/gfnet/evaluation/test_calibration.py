from __future__ import annotations

import dataclasses

import pytest
import torch

from gfnet.checkpoint import load_checkpoint
from gfnet.config import model_config
from gfnet.errors import ConfigError
from gfnet.evaluation import run_all_steps
from gfnet.evaluation.calibration import (
    calibrate_checkpoint,
    find_temperatures,
    fit_temperature,
    step_heads,
    with_temperatures,
)
from gfnet.evaluation.metrics import calibration_error, reliability_bins
from gfnet.network.model import GFNet
from network_support import gfnet, one_line


def network(arch="test_resnet", **options):
    torch.manual_seed(0)
    return GFNet(model_config(arch, 32, 3, num_classes=10, image_size=64, **options)).eval()


RECURRENT = {"classifier": "recurrent", "glance_head": "classifier", "classifier_hidden": 16}


def drawn(images=4000, scale=1.0):
    """Logits, and labels drawn from their own softmax: calibrated at ``scale`` 1."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(images, 10, generator=generator) * 2
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]
    return logits * scale, labels


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_the_temperature_undoes_a_known_overconfidence(scale):
    logits, labels = drawn(scale=scale)
    assert fit_temperature(logits, labels) == pytest.approx(scale, rel=0.03)


def test_answers_that_are_all_right_stop_at_a_finite_temperature():
    logits = torch.eye(4) * 5
    assert 0.01 <= fit_temperature(logits, torch.arange(4)) < 0.2
    assert fit_temperature(-logits, torch.arange(4)) == pytest.approx(100)


def test_temperatures_divide_the_logits_of_their_own_step_and_change_no_answer():
    model = network()
    images = torch.randn(3, 3, 64, 64)
    before, taken = run_all_steps(model, images)
    after, taken_again = run_all_steps(with_temperatures(model, (2.0, 0.5, 4.0)), images)
    for step, temperature in enumerate((2.0, 0.5, 4.0)):
        torch.testing.assert_close(after[step] * temperature, before[step])
    assert all(torch.equal(*pair) for pair in zip(taken, taken_again, strict=True))
    torch.testing.assert_close(run_all_steps(model, images)[0], before, rtol=0, atol=0)  # the model itself is as it was


def test_steps_that_one_layer_answers_share_a_temperature():
    model = network(**RECURRENT)
    assert len(set(step_heads(model))) == 1
    logits, labels = drawn()
    found = find_temperatures(model, torch.stack([logits, logits * 2, logits * 4]), labels)
    assert len(set(found)) == 1
    assert 1 < found[0] < 4
    with pytest.raises(ConfigError, match="have one temperature"):
        with_temperatures(model, (1.0, 2.0, 2.0))


def test_a_head_that_is_no_linear_layer_is_refused():
    with pytest.raises(ConfigError, match="ends in Identity, not in a linear layer"):
        step_heads(GFNet(dataclasses.replace(network().config, arch="test_resnet")).apply(_headless))


def _headless(module):
    if hasattr(module, "fc") and hasattr(module, "get_classifier"):
        module.fc = torch.nn.Identity()


def test_a_checkpoint_is_calibrated_on_one_split_and_judged_on_another(checkpoint, scenes):
    sharp = dataclasses.replace(checkpoint, model=with_temperatures(checkpoint.model, (0.05, 0.05, 0.05)))
    calibrated, calibration = calibrate_checkpoint(sharp, scenes, split="train", images=40)
    assert calibration.images == 40
    assert calibration.after.search == "train (60 images)"
    assert calibrated.evaluation == calibration.after.evaluation

    def errors(side):
        rows = zip(side.predictions.confidence, side.predictions.correct, strict=True)
        return [calibration_error(reliability_bins(*row)) for row in rows]

    assert all(
        after < before for before, after in zip(*map(errors, (calibration.before, calibration.after)), strict=True)
    )
    assert (calibration.before.predictions.predicted == calibration.after.predictions.predicted).all()


def test_the_command_writes_a_network_and_tells_the_difference(checkpoint_file, scenes, tmp_path):
    out = tmp_path / "calibrated.safetensors"
    result = gfnet("calibrate", checkpoint_file, out, "--data", scenes, "--json", tmp_path / "out.json")
    assert result.exit_code == 0, result.stderr
    assert "temperature" in result.stdout
    assert load_checkpoint(out).evaluation is not None
    assert one_line(gfnet("calibrate", checkpoint_file, tmp_path / "out.pth", "--data", scenes)).endswith(
        ".safetensors"
    )
    assert "no such folder" in one_line(gfnet("calibrate", checkpoint_file, out, "--data", scenes, "--split", "dev"))
