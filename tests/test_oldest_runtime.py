"""Every form of a bundle on the oldest packages that setup.cfg allows for running one."""

from __future__ import annotations

import configparser
import dataclasses
import itertools
import re
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from gfnet.checkpoint import Checkpoint
from gfnet.inference.adaptive import classify
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.runtime import onnx_runtime as runtime
from gfnet_export.runtime.onnx_runtime import bundle_predictor
from network_support import SMALL, small_network

ROOT = Path(__file__).parents[1]
WIDE = dataclasses.replace(SMALL, num_classes=400)  # heads that are worth 8 bits
PRECISIONS, LAYOUTS = ("fp32", "fp16", "int8", "int8-heads", "int8-vectors", "int8-storage"), ("split", "fused")
# Other kernels add in another order; where there are 8 bits, a value between two of them may go to either.
LOGITS_TOLERANCE = 0.02  # of the largest logit

RUN = """
import sys
import numpy as np
from importlib.util import find_spec
from gfnet.inference.adaptive import classify
from gfnet_export.runtime.onnx_runtime import bundle_predictor
assert find_spec("torch") is None
pixels = np.load(sys.argv[1])
logits = {}
for folder in sys.argv[3:]:
    runner = bundle_predictor(folder).runner
    logits[folder] = [classify(runner, square[None], None, ["x"])[0].steps[0].logits for square in pixels]
    logits[folder + " action"] = [classify(runner, square[None], None, ["x"])[0].steps[1].action for square in pixels]
np.savez(sys.argv[2], **logits)
"""


def oldest(section, option):
    """The requirements of a list in setup.cfg at exactly their lower bounds."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / "setup.cfg")
    lines = [line for line in config[section][option].splitlines() if line and not line.strip().startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9]+>=[\d.]+", line) for line in lines), lines
    return [line.replace(">=", "==") for line in lines]


def test_the_bound_is_that_of_the_form_that_needs_the_newest():
    oldest_for_vectors = ".".join(map(str, runtime._OLDEST_FOR_VECTORS))
    assert oldest("options.extras_require", "runtime")[-1:] == [f"onnxruntime=={oldest_for_vectors}"]


@pytest.mark.slow
def test_every_form_runs_on_the_oldest_packages_allowed(tmp_path):
    requirements = [*oldest("options", "install_requires"), *oldest("options.extras_require", "runtime")]
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "--quiet", *requirements], check=True)
    pixels = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3)).astype(np.uint8)
    np.save(tmp_path / "pixels.npy", pixels)
    folders = []
    for precision, layout in itertools.product(PRECISIONS, LAYOUTS):
        folders.append(tmp_path / f"{precision} {layout}")
        photos = list(pixels) if precision == "int8" else ()
        network = Checkpoint(small_network(WIDE))
        export_onnx(network, folders[-1], precision=precision, layout=layout, calibration=photos)
    (tmp_path / "run.py").write_text(RUN)
    found = tmp_path / "found.npz"
    command = [python, tmp_path / "run.py", tmp_path / "pixels.npy", found, *folders]
    own = {"PYTHONPATH": f"{ROOT}:{ROOT / 'export'}", "PATH": ""}  # our source and nothing of this environment
    done = subprocess.run(command, env=own, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    values = np.load(found)
    for folder in folders:
        runner = bundle_predictor(folder).runner
        for square, logits, action in zip(pixels, values[str(folder)], values[f"{folder} action"], strict=True):
            here = classify(runner, square[None], None, ["x"])[0]
            largest = np.abs(here.steps[0].logits).max()
            np.testing.assert_allclose(logits, here.steps[0].logits, rtol=0, atol=LOGITS_TOLERANCE * largest)
            np.testing.assert_allclose(action, here.steps[1].action, rtol=0, atol=LOGITS_TOLERANCE)
