"""``gfnet demo``: the whole job, from generated scenes to one page about a measured bundle."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import save_file

from gfnet.checkpoint import Checkpoint, load_checkpoint
from gfnet.console.output import say
from gfnet.data import FolderSplit, open_splits
from gfnet.data.batches import Batches, PixelDataset
from gfnet.data.classes import pair_split
from gfnet.data.synth import SCENES, SceneConfig, write_scenes
from gfnet.errors import ConfigError, GFNetError
from gfnet.evaluation import anytime_top1, patch_actions, predict_all_steps
from gfnet.files.replacing import atomic_folder, check_files, check_folder, record_files
from gfnet.files.writing import write_json
from gfnet.inference.exits import default_point
from gfnet.inference.images import every_nth
from gfnet.pictures.traces import draw_seen
from gfnet.results.files import write_result_file
from gfnet.training.launch import launch
from gfnet.training.recipe import STAGES
from gfnet.training.run_folder import RunFolder
from gfnet_benchmark.demo.page import Baseline, Example, Facts, write_report
from gfnet_benchmark.measure.photos import Photos
from gfnet_benchmark.measure.run import bench_onnx
from gfnet_benchmark.measure.selection import select_targets
from gfnet_export.bundle.reader import Bundle
from gfnet_export.coreml.bundle import export_coreml
from gfnet_export.exporting import BUNDLES
from gfnet_export.onnx.bundle import export_onnx
from gfnet_export.runtime.onnx_runtime import bundle_predictor

_FOLDERS = {
    "scenes": SCENES,
    "baselines": "demo baselines",
    "onnx": BUNDLES["onnx"],
    "coreml": BUNDLES["coreml"],
    "pictures": "demo pictures",
}
_FILES = ("bench.json", "demo.json", "report.html")


@dataclass(frozen=True)
class DemoConfig:
    """How large the demo is; the default fits six minutes on two idle cores.

    Attributes:
        train: number of training scenes.
        val: number of validation scenes.
        epochs: of the four stages.
        baseline_sizes: sides of the whole images that the same backbone classifies alone, pixels; each for as many
            epochs as stage 0 has.
        bench_images: scenes that the benchmark runs.
        examples: pictures for each exit step.
    """

    train: int = 3400
    val: int = 1000
    epochs: tuple[int, int, int, int] = (4, 3, 12, 3)
    baseline_sizes: tuple[int, ...] = (40, 64, 96, 120)
    bench_images: int = 60
    examples: int = 3


ARCH, PATCH_SIZE, STEPS = "test_resnet", 40, 3
"""A ResNet of 0.4 M parameters from timm: small enough to be trained from nothing in minutes.

The patch is a third of a scene: a glance loses what is on a small badge, and its feature map still has
2 x 2 cells for the policy to tell places apart by.
"""

SCENE = SceneConfig(small_badge=(0.07, 0.085))
"""Small badges of 8 to 10 pixels: what is on them can be read at full resolution, and hardly in a smaller picture.

With larger ones the backbone alone, on whole scenes of half the side, is as accurate at the same cost.
"""


def training_options(
    scenes: Path, epochs: tuple[int, int, int, int], seed: int, *, baseline_size: int | None = None
) -> dict[str, Any]:
    """What ``gfnet train`` would be told: a recipe far shorter than the published ones, so with higher rates.

    Args:
        baseline_size: train the backbone as a classifier of whole images of that many pixels a side instead.
    """
    size = baseline_size or SCENE.size
    patch_size, steps = (size, 1) if baseline_size else (PATCH_SIZE, STEPS)
    return {
        "data": str(scenes),
        "model": {"arch": ARCH, "patch_size": patch_size, "steps": steps, "image_size": size, "crop_ratio": 1.0},
        "recipe": {
            "epochs": list(epochs),
            "batch_size": 64,
            "initial_lr": 0.1,
            "encoder_lr": 0.02,
            "classifier_lr": [0.05, 0.02],
            "weight_decay": 5e-4,
            "train_global": False,
            "augmentation": "flip",  # a crop would lose the badge
            "ppo": {"lr": 1e-3},
            "seed": seed,
        },
        "execution": {"validate_every": 0},  # one look at the validation scenes at the end is enough for a page
    }


def run_demo(out: Path, *, seed: int = 0, overwrite: bool = False, config: DemoConfig | None = None) -> dict[str, Any]:
    """Generate scenes, train, evaluate, export, predict, measure, and write ``out/report.html``.

    Args:
        seed: of scenes and training.
        overwrite: replace an earlier demo in ``out``; other files beside its folders stay.

    Returns:
        The figures of the report, also in ``out/demo.json``.

    Raises:
        GFNetError: ``out`` holds something already, or cannot be written.
    """
    config = config or DemoConfig()
    if seed < 0:
        raise ConfigError(f"seed {seed} is negative; use 0 or more")
    run = RunFolder(out / "run")
    _check_room(out, run, overwrite)
    record_files(out, _FILES, "demo")
    steps = _Announcer(8)

    steps.announce("drawing scenes")
    write_scenes(out / "scenes", train=config.train, val=config.val, seed=seed, config=SCENE, overwrite=overwrite)

    steps.announce("training the network in four stages")
    checkpoint, _ = launch(run.path, training_options(out / "scenes", config.epochs, seed), overwrite=overwrite)

    steps.announce("training the same backbone on whole images")
    with atomic_folder(out / "baselines", _FOLDERS["baselines"], overwrite=overwrite) as folder:
        trained = _train_baselines(out / "scenes", config, seed, run.after_stage(0), folder)

    steps.announce("comparing with random patches")
    _, val = open_splits(out / "scenes")
    random_top1 = _random_top1(checkpoint, val, seed)

    steps.announce("exporting to ONNX and Core ML")
    onnx = export_onnx(checkpoint, out / "onnx", overwrite=overwrite)
    coreml = export_coreml(checkpoint, out / "coreml", overwrite=overwrite)

    steps.announce("drawing where it looked")
    with atomic_folder(out / "pictures", _FOLDERS["pictures"], overwrite=overwrite) as folder:
        examples = _draw_examples(onnx, val, config.examples, folder)

    steps.announce("measuring every step")
    assert checkpoint.evaluation is not None
    chosen = default_point(checkpoint.evaluation.budgeted)
    photos = Photos([Path(path) for path, _ in every_nth(val.samples, config.bench_images)])
    with tempfile.TemporaryDirectory() as scratch:
        bundles = [str(out / "baselines" / bundle) for bundle in trained]
        targets = select_targets([onnx], photos, Path(scratch), baselines=bundles, clock=time.perf_counter)
        result = bench_onnx(targets, photos, processes=2)
    write_result_file(out / "bench.json", result)

    steps.announce("writing the report")
    facts = Facts(
        evaluation=checkpoint.evaluation,
        patch_size=PATCH_SIZE,
        image_size=SCENE.size,
        chosen=chosen,
        random_top1=random_top1,
        baselines=tuple(trained.values()),
        epochs=config.epochs,
        result=result,
        onnx_bytes=onnx.bytes,
        coreml_bytes=coreml.bytes,
        coreml_precision=coreml.manifest.precision,
        examples=tuple(replace(example, picture=out / "pictures" / example.picture.name) for example in examples),
        seed=seed,
        train_images=config.train,
        minutes=steps.minutes,
    )
    write_report(out / "report.html", facts)
    summary = facts.to_dict()
    write_json(out / "demo.json", summary)
    say(f"demo done in {steps.minutes:.1f} minutes", err=True)
    return summary


class _Announcer:
    """Says how far a job of several steps has come."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.start = total, 0, time.monotonic()

    @property
    def minutes(self) -> float:
        """Time since the start."""
        return (time.monotonic() - self.start) / 60

    def announce(self, what: str) -> None:
        """Begin the next step."""
        self.done += 1
        say(f"[{self.done}/{self.total}] {what} ({self.minutes:.1f} min so far)", err=True)


def _check_room(out: Path, run: RunFolder, overwrite: bool) -> None:
    """Refuse, before the long work, to replace what no demo wrote.

    Raises:
        GFNetError: names what is in the way.
    """
    check_files(out, _FILES, "demo")
    present = [part for part in (*_FOLDERS, run.path.name, *_FILES) if (out / part).exists()]
    if present and not overwrite:
        raise GFNetError(f"{out}: holds an earlier demo; choose another folder or pass --overwrite")
    for part, kind in _FOLDERS.items():
        check_folder(out / part, kind, overwrite=True)
    run.check_room(STAGES, overwrite=True)


def _train_baselines(scenes: Path, config: DemoConfig, seed: int, stage0: Path, folder: Path) -> dict[str, Baseline]:
    """The backbone alone on whole images of several sizes: each one's bundle in ``folder``, and what it achieves.

    Stage 0 has trained two of them already: the global encoder on images of patch size, the local one on full images.
    """
    network = load_checkpoint(stage0).model
    ready = {PATCH_SIZE: network.global_encoder, network.config.image_size: network.local_encoder}
    trained = {}
    for size in config.baseline_sizes:
        epochs = 0 if size in ready else config.epochs[0]
        options = training_options(scenes, (epochs, 0, 0, 0), seed, baseline_size=size)
        with tempfile.TemporaryDirectory() as scratch:
            if size in ready:
                weights = Path(scratch) / "encoder.safetensors"
                save_file({name: value.contiguous() for name, value in ready[size].net.state_dict().items()}, weights)
                options["init_global"] = str(weights)
            checkpoint, _ = launch(Path(scratch) / "run", options)
        bundle = f"whole-image-{size}"
        export_onnx(checkpoint, folder / bundle)
        assert checkpoint.evaluation is not None
        trained[bundle] = Baseline(size, checkpoint.evaluation.macs[0], checkpoint.evaluation.anytime_top1[0])
    return trained


def _random_top1(checkpoint: Checkpoint, val: FolderSplit, seed: int) -> tuple[float, ...]:
    """Accuracy after each step, in percent, on random patches."""
    model = checkpoint.model
    paired = pair_split(val, checkpoint.labels, model.config.num_classes)
    batches = Batches(PixelDataset(paired, model.config), 64)
    actions = patch_actions("random", model.config.steps, seed)
    return anytime_top1(predict_all_steps(model, batches, len(val.samples), title="random patches", actions=actions))


def _draw_examples(bundle: Bundle, val: FolderSplit, per_step: int, folder: Path) -> list[Example]:
    """Pictures of the first scenes that stop at each step, drawn from the exported network's own traces."""
    predictor = bundle_predictor(bundle)
    thresholds = default_point(predictor.points).thresholds
    examples: list[Example] = []
    shuffled = np.random.default_rng(0).permutation(len(val.samples))  # they are sorted by class
    for path, label in (val.samples[i] for i in shuffled):
        if len(examples) == per_step * bundle.manifest.steps:
            break
        ((trace, pixels),) = predictor.stream([path], thresholds)
        if sum(example.exit_step == trace.exit_step for example in examples) == per_step:
            continue
        target = folder / f"step{trace.exit_step}-{Path(path).stem}.png"
        draw_seen(predictor, trace, pixels).save(target)
        examples.append(Example(target, trace.exit_step, trace.class_index == label))
    return sorted(examples, key=lambda example: example.exit_step)
