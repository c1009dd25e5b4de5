"""From options to a training run: what it starts from, whether it may, and whether it goes on from an earlier one."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint
from gfnet.config import ModelConfig
from gfnet.data import Split, open_dataset
from gfnet.distributed import gather, process_group, restarts
from gfnet.errors import ConfigError, TrainingError
from gfnet.model import GFNet, default_device
from gfnet.training.run_folder import RunFolder
from gfnet.training.settings import RunConfig, merge, parse_stages, read_options, refuse_changes, resolve
from gfnet.training.trainer import Trainer
from gfnet.training.weights import load_encoder_weights

_DEFAULT_TIMEOUT_S = 600.0
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>


def plan(out: Path, options: Mapping[str, Any]) -> RunConfig:
    """The resolved configuration of a new run, without starting it; only the data's class folders are listed.

    Raises:
        GFNetError: options, data or starting point cannot be used.
    """
    return _resolve(out, options)[0]


def launch(
    out: Path, options: Mapping[str, Any], *, resume: bool = False, overwrite: bool = False
) -> tuple[Checkpoint, bool]:
    """Train as the options say; what they leave out is the family's published recipe.

    Under ``torchrun`` every rank calls this with the same arguments.

    Args:
        out: run folder.
        options: nested values, see :data:`gfnet.training.settings.Options`.
        resume: go on with the run in ``out`` if there is one.  A restart by ``torchrun`` always does.
        overwrite: replace what earlier runs left of the same stages.

    Returns:
        The finished network, which is also in ``out/model.safetensors``, and whether this process is the one that
        reports it.

    Raises:
        GFNetError: options, data or starting point cannot be used, training fails, or a rank is lost.
        Stopped: a signal asked for it; the state is saved.
    """
    keep_freed_memory()
    timeout_s = merge({"timeout_s": _DEFAULT_TIMEOUT_S}, options.get("execution") or {})["timeout_s"]
    with process_group(float(timeout_s)) as ranks:
        folder = RunFolder(out, writes=ranks.is_first)
        if (resume or restarts()) and folder.has_state:
            config, splits, model, state = _resumed(folder, options)
        else:
            config, splits = _resolve(out, options)
            torch.manual_seed(config.recipe.seed)
            model, state = _starting_model(config, out, talks=ranks.is_first), None
            folder.begin(config.to_yaml(), config.stages, overwrite=overwrite)
        gather(None)  # nobody writes before everybody has looked
        checkpoint = Trainer(
            model.to(default_device()),
            config.recipe,
            *splits,
            out,
            execution=config.execution,
            config={k: v for k, v in config.to_dict().items() if k != "model"},
        ).run(config.stages, state)
        return checkpoint, ranks.is_first


def keep_freed_memory() -> None:
    """Tell glibc not to give freed memory back to the system after every tensor.

    Getting it again costs a page fault for every 4 KiB: without them iterations on a CPU took 0.86 of the time
    (MobileNet-V3 and ResNet-50, stage 1).  Does nothing where the C library is another one.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest that it takes
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)


def _resolve(out: Path, options: Mapping[str, Any]) -> tuple[RunConfig, tuple[Split, Split]]:
    if not options.get("data"):
        raise ConfigError("no data given; pass --data DIR, a folder with train/ and val/, or shards")
    splits = open_dataset(options["data"], options.get("val_data"))
    network = None
    start = _starting_point(out, options)
    if start is not None:
        network = load_checkpoint(start).model.config
        if network.num_classes != len(splits[0].classes):
            raise TrainingError(
                f"{splits[0].root}: {len(splits[0].classes)} classes, but the network in {start} has "
                f"{network.num_classes}"
            )
    return resolve(options, len(splits[0].classes), network), splits


def _starting_point(out: Path, options: Mapping[str, Any]) -> Path | None:
    """The checkpoint that training starts from: given, or what the run's stage before left."""
    if options.get("init"):
        return Path(options["init"])
    stages = options.get("stages", "all")
    first = stages if isinstance(stages, int | str) else stages[0]
    if str(first) in ("all", "0"):
        return None
    before = RunFolder(out).after_stage(int(first) - 1)
    if not before.is_file():
        raise TrainingError(
            f"{before}: no such file; stage {first} starts from it: train stage {int(first) - 1} first or pass --init"
        )
    return before


def _starting_model(config: RunConfig, out: Path, *, talks: bool) -> GFNet:
    start = _starting_point(out, config.to_dict())
    if start is not None:
        return load_checkpoint(start).model
    model = GFNet(config.model)
    for encoder, path in ((model.global_encoder, config.init_global), (model.local_encoder, config.init_local)):
        if path is not None:
            left = load_encoder_weights(encoder, path, config.model.arch)
            if left and talks:
                print(f"gfnet: {path}: its head is for other classes; {', '.join(left)} start anew", file=sys.stderr)
    return model


def _resumed(
    folder: RunFolder, options: Mapping[str, Any]
) -> tuple[RunConfig, tuple[Split, Split], GFNet, TrainingState]:
    stored = read_options(folder.config)
    for section in ("model", "recipe"):
        refuse_changes(options.get(section) or {}, stored[section], section, f"the run in {folder.path}")
    given_stages = options.get("stages")
    if given_stages is not None:
        asked = list(parse_stages(given_stages))
        if asked != stored["stages"]:
            raise ConfigError(
                f"the run in {folder.path} is of stages {stored['stages']}, but {asked} was asked for; leave it out"
            )
    moved = {name: options.get(name) for name in ("data", "val_data", "execution")}
    merged = merge(stored, moved)
    splits = open_dataset(merged["data"], merged.get("val_data"))
    model, state = folder.load_last()
    network = ModelConfig.from_dict(stored["model"])
    if network != model.config:
        raise TrainingError(f"{folder.config}: describes another network than {folder.last}; restore the file")
    config = resolve({**merged, "init": None}, len(splits[0].classes), model.config)
    return replace(config, init=stored.get("init")), splits, model, state
