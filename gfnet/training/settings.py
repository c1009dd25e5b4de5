"""A training run's whole configuration: from a YAML file and options to one resolved value, and back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from gfnet.choices import Amp, OnNaN
from gfnet.config import ModelConfig, model_config
from gfnet.errors import ConfigError
from gfnet.files.reading import read_bytes
from gfnet.training.recipe import STAGES, PPORecipe, Recipe, recipe_for

T = TypeVar("T")

_LARGEST_CONFIG = 1024**2  # bytes

STARTS = ("init", "init_global", "init_local")
"""Options that name weights to start from."""

DEFAULT_NETWORK = {"arch": "mobilenetv3_large_100", "patch_size": 96, "steps": 3}
"""What is trained unless something else is asked for."""


@dataclass(frozen=True)
class Execution:
    """How training runs on the machines at hand; a run may be resumed with another one.

    Attributes:
        workers: processes that decode images, on each rank; 0 decodes in the training process, which keeps small
            datasets in memory.
        amp: ``off``: float32; ``bf16``; ``fp16`` with gradient scaling.
        compile: let torch compile the encoders.
        channels_last: memory layout of images and convolutions.
        sync_bn: BatchNorm's statistics over all ranks; needs GPUs.
        accumulate: parts that a rank's share of a batch is divided into; their gradients are added up.
        on_nan: what to do when a loss is NaN or infinite: ``stop``, or ``skip`` that batch.
        most_skipped: batches that may be skipped in the whole run before training stops after all.
        most_skipped_share: the same of one epoch's batches, as a share of them.
        save_every: iterations between saves of the run's state; 0: only after ``save_minutes`` and each epoch.
        save_minutes: time between saves.
        log_every: iterations between lines in ``metrics.jsonl``.
        validate_every: epochs between looks at the validation split; 0: none until the end.
        timeout_s: how long a rank waits for the others, seconds.
    """

    workers: int = 0
    amp: Amp = "off"
    compile: bool = False
    channels_last: bool = True
    sync_bn: bool = False
    accumulate: int = 1
    on_nan: OnNaN = "stop"
    most_skipped: int = 100
    most_skipped_share: float = 0.1
    save_every: int = 0
    save_minutes: float = 10.0
    log_every: int = 50
    validate_every: int = 1
    timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("workers", "most_skipped", "save_every", "validate_every"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; use 0 or more")
        for name in ("accumulate", "log_every"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; use 1 or more")
        for name in ("save_minutes", "timeout_s"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; use a value above 0")
        if not 0 <= self.most_skipped_share <= 1:
            raise ConfigError(f"most_skipped_share is {self.most_skipped_share}; use a share from 0 to 1")


@dataclass(frozen=True)
class RunConfig:
    """Everything that a run was asked to do.

    Attributes:
        data: folder or shards; see :func:`gfnet.data.open_dataset`.
        val_data: shards of the validation split, where ``data`` does not name them.
        stages: which of 0 to 3, in order.
        classes: how the data's classes map to those of the network that training starts from, see
            :func:`gfnet.data.classes.pair_split`.
        init: a checkpoint to start from, whichever stage comes first.
        init_global: backbone weights, or a network of this project, that stage 0 starts the global encoder from.
        init_local: the same for the local encoder.
        model: the network.
        recipe: what it learns.
        execution: how that runs here.
    """

    data: str
    stages: tuple[int, ...]
    model: ModelConfig
    recipe: Recipe
    execution: Execution = Execution()
    val_data: str | None = None
    classes: str | None = None
    init: str | None = None
    init_global: str | None = None
    init_local: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The configuration as JSON-ready values."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values

    def to_yaml(self) -> str:
        """The configuration as a file that ``gfnet train --config`` takes."""
        return yaml.safe_dump(self.to_dict(), sort_keys=False, default_flow_style=None, width=120)


Options = Mapping[str, Any]
"""Nested values like :meth:`RunConfig.to_dict`'s, as far as they were given."""


def read_options(path: str | Path) -> dict[str, Any]:
    """The options in a YAML file.

    Raises:
        ConfigError: the file is missing, no YAML, or no mapping.
    """
    try:
        values = yaml.safe_load(read_bytes(path, _LARGEST_CONFIG, ConfigError).decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(f"{path}: cannot be read as YAML ({' '.join(str(error).split())})") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected names and values, as `gfnet train --dry-run` prints them")
    return values


def parse_assignment(text: str) -> dict[str, Any]:
    """``recipe.ppo.clip=0.1`` as nested options; the value is read as YAML.

    Raises:
        ConfigError: there is no ``=`` in it, or the value is no YAML.
    """
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise ConfigError(f"--set {text!r}: write NAME=VALUE, e.g. recipe.ppo.clip=0.1")
    try:
        given: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {text!r}: {value!r} is no YAML value") from None
    *sections, last = name.split(".")
    nested = {last: given}
    for section in reversed(sections):
        nested = {section: nested}
    return nested


def merge(*layers: Options) -> dict[str, Any]:
    """Nested options, later ones over earlier ones; ``None`` leaves a value out."""
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if isinstance(value, Mapping):
                base = merged.get(name)
                merged[name] = merge(base if isinstance(base, Mapping) else {}, value)
            elif value is not None:
                merged[name] = value
    return merged


def check_options(options: Options) -> None:
    """Refuse options that no data and no checkpoint could make sense of.

    Raises:
        ConfigError: an unknown name, a value of a wrong type, or options that exclude each other.
    """
    _check_names(options, RunConfig, "")
    for name in ("data", "val_data", "classes", *STARTS):
        if not isinstance(options.get(name), str | None):
            raise ConfigError(f"{name} is {options[name]!r}; expected text")
    hints = get_type_hints(ModelConfig)
    for name, value in _section(options, "model").items():
        _validated(hints[name], value, f"model.{name}")
    _section(_section(options, "recipe"), "ppo", "recipe.")
    execution_of(options)
    stages = parse_stages(options.get("stages", STAGES))
    weights = [name for name in STARTS[1:] if options.get(name)]
    if weights and options.get("init"):
        raise ConfigError(f"init and {weights[0]} are both given, but a checkpoint brings both encoders; choose one")
    if weights and stages[0] != 0:
        raise ConfigError(
            f"{weights[0]} is what stage 0 starts from, but stage {stages[0]} comes first; pass --init CHECKPOINT, or "
            "begin with stage 0"
        )


def execution_of(options: Options) -> Execution:
    """How training is to run, as far as ``options`` say.

    Raises:
        ConfigError: an unknown name, a value of a wrong type or out of range.
    """
    return _validated(Execution, dict(_section(options, "execution")), "execution")


def resolve(options: Options, num_classes: int, network: ModelConfig | None = None) -> RunConfig:
    """One configuration from what was given and the family's published recipe.

    Args:
        options: see :data:`Options`.
        num_classes: of the data.
        network: that of the checkpoint that training starts from; the options must agree with it.

    Raises:
        ConfigError: an unknown name, a value of a wrong type or out of range, or another network than the
            checkpoint's.
    """
    check_options(options)
    given_model = _section(options, "model")
    if network is None:
        values = {**DEFAULT_NETWORK, **given_model}
        if values["steps"] == 1:  # stage 0 trains the encoder and its own head, nothing else
            values["glance_head"] = "encoder"
        config = model_config(**{"num_classes": num_classes, **values})
    else:
        config = network
        refuse_changes(given_model, network.to_dict(), "model", "the checkpoint that training starts from")
    if config.num_classes != num_classes:
        raise ConfigError(f"the network tells {config.num_classes} classes apart, but the data has {num_classes}")
    given_recipe = dict(_section(options, "recipe"))
    ppo = _section(given_recipe, "ppo", "recipe.")
    if both_encoders_given(options) and "epochs" not in given_recipe:
        published = recipe_for(config).epochs
        given_recipe["epochs"] = (0, *published[1:])
    base = dataclasses.asdict(recipe_for(config))
    recipe = _validated(Recipe, merge(base, given_recipe, {"ppo": ppo}), "recipe")
    return RunConfig(
        data=options["data"],
        stages=_stages_of(options, config),
        model=config,
        recipe=recipe,
        execution=execution_of(options),
        **{name: options[name] for name in ("val_data", "classes", *STARTS) if options.get(name)},
    )


def _stages_of(options: Options, config: ModelConfig) -> tuple[int, ...]:
    """The stages that were asked for; a network of one step has the first only."""
    asked = options.get("stages", "all")
    return (0,) if asked == "all" and config.steps == 1 else parse_stages(asked)


def parse_stages(value: Any) -> tuple[int, ...]:
    """``all``, one stage, or several in a row.

    Raises:
        ConfigError: it is not such a list.
    """
    if value == "all":
        return STAGES
    stages = value if isinstance(value, list | tuple) else (value,)
    try:
        numbers = tuple(int(str(stage)) for stage in stages)
    except ValueError:
        numbers = ()
    if not numbers or numbers != tuple(range(numbers[0], numbers[-1] + 1)) or not set(numbers) <= set(STAGES):
        raise ConfigError(f"stages {value!r}: give one of 0, 1, 2, 3, several in a row, or all")
    return numbers


def both_encoders_given(options: Options) -> bool:
    """Whether weights of both encoders come from files, so that stage 0 has nothing to do."""
    return bool(options.get("init") or (options.get("init_global") and options.get("init_local")))


def refuse_changes(given: Options, fixed: Options, section: str, owner: str) -> None:
    """Refuse options that contradict what cannot change any more.

    Raises:
        ConfigError: the first difference, with both values.
    """
    for name, value in given.items():
        if name not in fixed:
            raise ConfigError(f"{section}.{name}: no such setting")
        if isinstance(value, Mapping) and isinstance(fixed[name], Mapping):
            refuse_changes(value, fixed[name], f"{section}.{name}", owner)
        elif _plain(value) != _plain(fixed[name]):
            raise ConfigError(
                f"{section}.{name} is {_plain(fixed[name])} in {owner}, but {_plain(value)} was asked for; "
                "leave it out, or begin another run"
            )


def _plain(value: Any) -> Any:
    """Sequences as lists and numbers by value, so that 3, 3.0 and '3' from YAML, flags and files compare equal."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


def _section(options: Options, name: str, prefix: str = "") -> Options:
    section = options.get(name) or {}
    if not isinstance(section, Mapping):
        raise ConfigError(f"{prefix}{name} is {section!r}; expected names and values under it")
    kinds = {"model": ModelConfig, "recipe": Recipe, "ppo": PPORecipe, "execution": Execution}
    _check_names(section, kinds[name], f"{prefix}{name}.")
    return section


def _check_names(given: Options, kind: type, prefix: str) -> None:
    known = [field.name for field in dataclasses.fields(kind)]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise ConfigError(f"{prefix}{unknown[0]}: no such setting; known are {', '.join(known)}")


def _validated(kind: type[T], values: Any, section: str) -> T:
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([section, *map(str, first["loc"])])
        raise ConfigError(f"{where}: {first['msg'].removeprefix('Value error, ')}, not {first['input']!r}") from error
