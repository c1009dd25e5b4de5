"""Groups of commands: what they hold is written in a table, listed by task, and imported when it is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class CommandGroup(click.Group):
    """A group that lists its commands under the task that each is for.

    Args:
        table: for every task the names of its commands, each with the module that defines a command of that name.
    """

    def __init__(self, *args: Any, table: Mapping[str, Mapping[str, str]], **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.table = table
        self._modules = {name: module for modules in table.values() for name, module in modules.items()}

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self._modules)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self._modules:
            return None
        command = getattr(import_module(self._modules[name]), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, self._modules))
        for task, names in self.table.items():
            rows = []
            for name in names:
                command = self.get_command(context, name)
                assert command is not None
                rows.append((name.ljust(width), command.get_short_help_str(formatter.width - width - 6)))
            with formatter.section(task):
                formatter.write_dl(rows)
