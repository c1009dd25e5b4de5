from __future__ import annotations

import typing

import click
import pytest

from gfnet import choices as core_choices
from gfnet.config import Augmentation
from gfnet.training.recipe import Reward
from gfnet_benchmark import choices as bench_choices
from gfnet_export import choices as export_choices
from network_support import commands_by_path, gfnet

VAGUE = {"TEXT", "INTEGER", "INTEGER RANGE", "FLOAT", "FLOAT RANGE", "PATH", "FILENAME"}
"""What click calls a value where a command does not say what kind it is."""


ALL = commands_by_path()


@pytest.mark.parametrize("path", ALL)
def test_every_option_says_what_it_is_in_a_sentence(path):
    command, context = ALL[path]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            told = parameter.help or ""
            assert told[:1].isupper(), parameter.opts
            assert told.endswith("."), parameter.opts
            assert parameter.is_flag or parameter.make_metavar(context) not in VAGUE, parameter.opts


@pytest.mark.parametrize("path", ALL)
def test_every_summary_fits_its_line(path):
    command, context = ALL[path]
    shown = command.get_help(context).splitlines()
    assert max(map(len, shown)) <= 80
    assert not [line for line in shown if line.endswith("...") and not line.startswith("Usage:")]
    assert command.help[0].isupper()
    assert command.help.split("\n")[0].endswith(".")


def test_help_lists_commands_by_task():
    lines = gfnet("--help").stdout.splitlines()
    tasks = [line for line in lines if line and line[0] != " "][2:]
    assert tasks == ["Start:", "Data:", "Train and evaluate:", "Export and check:", "Measure:"]


def test_options_offer_what_functions_take():
    literals = {Augmentation, Reward}
    for module in (core_choices, export_choices, bench_choices):
        literals |= {value for value in vars(module).values() if typing.get_origin(value) is typing.Literal}
    known = {typing.get_args(literal) for literal in literals}
    for path, (command, _) in ALL.items():
        for parameter in command.params:
            if isinstance(parameter.type, click.Choice) and parameter.name != "stage":
                assert tuple(parameter.type.choices) in known, (path, parameter.name)
