"""From options to a training run: what it starts from, whether it may, and whether it goes on from an earlier one."""

from __future__ import annotations

import ctypes
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from gfnet.checkpoint import Checkpoint, TrainingState, load_checkpoint
from gfnet.checkpoint.backbone_weights import load_encoder_weights
from gfnet.config import ModelConfig, model_config
from gfnet.console.output import say
from gfnet.data import Split, open_dataset
from gfnet.data.classes import pair_split
from gfnet.distributed import current_ranks, gather, on_all_ranks, process_group, restarts
from gfnet.errors import ConfigError, DataError, TrainingError
from gfnet.network.backbones import create_encoder
from gfnet.network.model import GFNet, default_device
from gfnet.training.run_folder import RunFolder
from gfnet.training.settings import (
    DEFAULT_NETWORK,
    STARTS,
    Options,
    RunConfig,
    both_encoders_given,
    check_options,
    execution_of,
    merge,
    parse_stages,
    read_options,
    refuse_changes,
    resolve,
)
from gfnet.training.trainer import Trainer

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # <malloc.h>


def plan(out: Path, options: Options) -> RunConfig:
    """The resolved configuration of a new run, without starting it; only the data's class folders are listed.

    Raises:
        GFNetError: options, data or starting point cannot be used.
    """
    return _resolve(out, options)[0]


def launch(out: Path, options: Options, *, resume: bool = False, overwrite: bool = False) -> tuple[Checkpoint, bool]:
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
        GFNetError: options, data or starting point cannot be used, another process trains in ``out``, training
            fails, or a rank is lost.
        Stopped: a signal asked for it; the state is saved.
    """
    keep_freed_memory()
    if resume and overwrite:
        raise ConfigError("--resume goes on with a run and --overwrite replaces it; choose one")
    folder = RunFolder(out)
    if resume and not folder.config.is_file() and not options.get("data"):
        raise ConfigError(f"{out}: no run to resume in there, and no --data to begin one with")
    again = (resume or restarts() > 0) and folder.config.is_file()
    if again:
        options = _stored_options(folder, options)
    with process_group(execution_of(options).timeout_s) as ranks, ExitStack() as stack:
        folder = replace(folder, writes=ranks.is_first)
        on_all_ranks(lambda: stack.enter_context(folder.locked()))
        goes_on = again and folder.has_state
        start = on_all_ranks(lambda: _goes_on(folder, options) if goes_on else _begins(folder, options, overwrite))
        _check_alike(start)
        if start.state is not None and start.state.values["finished"] and folder.result.is_file():
            if ranks.is_first:
                say(f"gfnet: {out}: finished already", err=True)
            return load_checkpoint(folder.result), ranks.is_first
        trainer = on_all_ranks(lambda: _make_trainer(start, folder))
        if start.state is None:
            on_all_ranks(lambda: folder.begin(start.config.to_yaml(), start.config.stages))
        return trainer.run(start.state), ranks.is_first


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


@dataclass(frozen=True)
class _Start:
    """What a run starts from on this rank."""

    config: RunConfig
    splits: tuple[Split, Split]
    model: GFNet
    state: TrainingState | None = None


def _begins(folder: RunFolder, options: Options, overwrite: bool) -> _Start:
    """A new run; nothing is written yet."""
    config, splits = _resolve(folder.path, options)
    config = _wherever_resumed(config)
    sources = [Path(source) for source in (config.init, config.init_global, config.init_local) if source]
    folder.check_room(config.stages, overwrite=overwrite, sources=sources)
    torch.manual_seed(config.recipe.seed)
    return _Start(config, splits, _starting_model(config, folder))


def _goes_on(folder: RunFolder, options: Options) -> _Start:
    """The run in ``folder``, where it stopped."""
    splits = _open_data_again(options)
    checkpoint, state = folder.load_last()
    splits = _paired(splits, checkpoint, folder.last, options)
    stored = read_options(folder.config)["model"]
    if ModelConfig.from_dict(stored) != checkpoint.model.config:
        raise TrainingError(f"{folder.config}: describes another network than {folder.last}; restore the file")
    config = resolve({**options, "init": None}, len(splits[0].classes), checkpoint.model.config)
    return _Start(replace(config, init=options.get("init")), splits, checkpoint.model, state)


def _stored_options(folder: RunFolder, options: Options) -> Options:
    """The configuration of the run in ``folder``, with what may change as ``options`` say.

    Raises:
        ConfigError: they contradict it, or it is not complete.
    """
    check_options(options)
    stored = read_options(folder.config)
    missing = [name for name in ("data", "stages", "model", "recipe") if not stored.get(name)]
    if missing:
        raise ConfigError(f"{folder.config}: lacks {missing[0]}; restore the file, or use --overwrite")
    check_options(stored)
    for name in STARTS:
        if options.get(name) not in (None, stored.get(name)):
            began = stored.get(name) or "nothing"
            raise ConfigError(f"{name} is {began} in the run in {folder.path}, not {options[name]}; leave it out")
    for section in ("model", "recipe"):
        refuse_changes(options.get(section) or {}, stored[section], section, f"the run in {folder.path}")
    if options.get("stages") is not None:
        asked = list(parse_stages(options["stages"]))
        if asked != stored["stages"]:
            raise ConfigError(
                f"the run in {folder.path} is of stages {stored['stages']}, but {asked} was asked for; leave it out"
            )
    return merge(stored, {name: options.get(name) for name in ("data", "val_data", "classes", "execution")})


def _check_alike(start: _Start) -> None:
    """Ranks that start from different things would average unrelated gradients, or wait for each other for ever.

    Raises:
        TrainingError: names the first difference.
    """
    everything = start.config.to_dict()
    position = start.state.values["position"] if start.state else {}
    facts = {
        **{name: everything[name] for name in ("stages", "model", "recipe", "execution")},
        "classes": start.splits[0].classes,
        "number of images": [len(split) for split in start.splits],
        "position": {name: position.get(name) for name in ("stage", "epoch", "batch")},
    }
    for rank, theirs in enumerate(gather(facts)):
        for name, value in facts.items():
            if theirs[name] != value:
                raise TrainingError(
                    f"ranks {current_ranks().rank} and {rank} start with different {name}; give all of them the same "
                    "command, data and run folder"
                )


def _make_trainer(start: _Start, folder: RunFolder) -> Trainer:
    config = start.config
    return Trainer(
        start.model.to(default_device()),
        config.recipe,
        *start.splits,
        folder,
        stages=config.stages,
        execution=config.execution,
        config=_told(config),
    )


def _told(config: RunConfig) -> dict[str, Any]:
    """What a checkpoint says about how it came to be; the places of files stay in the run folder."""
    told = {name: value for name, value in config.to_dict().items() if name != "model"}
    for name in ("data", "val_data", "classes", *STARTS):
        if told[name]:
            told[name] = Path(told[name]).name
    return told


def _resolve(out: Path, options: Options) -> tuple[RunConfig, tuple[Split, Split]]:
    check_options(options)
    if not options.get("data"):
        raise ConfigError("no data given; pass --data DIR, a folder with train/ and val/, or shards")
    start = _starting_point(out, options)
    if start is None:
        _check_backbone(options)
    splits = open_dataset(options["data"], options.get("val_data"))
    network = None
    if start is not None:
        checkpoint = load_checkpoint(start)
        splits, network = _paired(splits, checkpoint, start, options), checkpoint.model.config
    elif options.get("classes"):
        raise ConfigError("--classes maps to the classes of a network that training starts from; pass --init with it")
    return resolve(options, len(splits[0].classes), network), splits


def _check_backbone(options: Options) -> None:
    """Build an encoder, before data is looked through that may be large.

    Raises:
        ConfigError: the backbone is unknown, or does not take patches of that size.
    """
    network = model_config(**{**DEFAULT_NETWORK, **(options.get("model") or {})})
    create_encoder(network.arch, 2, network.patch_size, drop_path=network.drop_path)


def _starting_point(out: Path, options: Options) -> Path | None:
    """The checkpoint that training starts from: given, or what the run's stage before left."""
    if options.get("init"):
        return Path(options["init"])
    first = parse_stages(options.get("stages", "all"))[0]
    if first == 0:
        return None
    before = RunFolder(out).after_stage(first - 1)
    if not before.is_file():
        raise TrainingError(
            f"{before}: no such file; stage {first} starts from it: train stage {first - 1} first or pass --init"
        )
    return before


def _starting_model(config: RunConfig, folder: RunFolder) -> GFNet:
    notes = []
    start = _starting_point(folder.path, config.to_dict())
    model = GFNet(config.model) if start is None else load_checkpoint(start).model
    for name in ("global", "local"):
        encoder, path = getattr(model, f"{name}_encoder"), getattr(config, f"init_{name}")
        if path is not None:
            left = load_encoder_weights(encoder, path, config.model.arch, local=name == "local")
            if left:
                notes.append(f"{path}: its head is for other classes; {', '.join(left)} start from random weights")
    if config.stages[0] == 0 and not config.recipe.epochs[0] and both_encoders_given(config.to_dict()):
        notes.append("stage 0 takes no epochs, since both encoders come from files; --epochs says otherwise")
    for note in notes if folder.writes else ():
        say(f"gfnet: {note}", err=True)
    return model


def _open_data_again(options: Options) -> tuple[Split, Split]:
    """Both splits of a run that goes on; where the path leads nowhere by now, what to do about it is said."""
    data = Path(options["data"])
    try:
        return open_dataset(data, options.get("val_data"))
    except DataError as error:
        if data.exists():
            raise
        raise DataError(f"{error} (the run reads --data {data}; pass --data again if it moved)") from error


def _paired(splits: tuple[Split, Split], checkpoint: Checkpoint, path: Path, options: Options) -> tuple[Split, Split]:
    """Both splits, numbered as the network in ``path`` numbers its classes.

    Raises:
        DataError: they are other classes.
    """
    fit = partial(
        pair_split,
        names=checkpoint.labels,
        count=checkpoint.model.config.num_classes,
        class_map=options.get("classes"),
        network=f"the network in {path}",
    )
    return fit(splits[0]), fit(splits[1])


def _wherever_resumed(config: RunConfig) -> RunConfig:
    """The configuration with whole paths, so that the run can go on from another folder."""
    absolute: dict[str, Any] = {}
    for name in ("data", "val_data", "classes", *STARTS):
        value = getattr(config, name)
        # Data may be a pattern, which no file has as its name; the others may be words or names of networks.
        if value and (name in ("data", "val_data") or Path(value).exists()):
            absolute[name] = str(Path.cwd() / value)
    return replace(config, **absolute)
