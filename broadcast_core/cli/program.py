"""A group of commands that are imported when they are run, and that speaks the terminal's language."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

import typer
from typer import core, main

from broadcast_core.cli.exits import BAD_INPUT, FAILED
from broadcast_core.cli.usage import help_of, mistake_of
from broadcast_core.i18n import Sentence, _, terminal_language

# typer keeps its copy of click private; what it raises for a wrong command line is above the one it shows.
UsageError: Final[type[Exception]] = typer.BadParameter.__bases__[0]

Commands = Mapping[str, "Command"]


@dataclass(frozen=True, slots=True)
class Command:
    """A command: what it does, and where it lies ("module:function"), or its own commands."""

    says: Sentence
    lies: str | Commands


class Spoken(core.TyperCommand):
    """A command whose help is in the terminal's language."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except UsageError as error:
            if getattr(error, "ctx", None) is None:  # of an option without its value; then nobody knows which command
                vars(error)["ctx"] = ctx
            raise

    def get_help(self, ctx: Any) -> str:
        return help_of(self, ctx)


class Program(core.TyperGroup):
    """A group whose commands are known by `entries` until one is run."""

    entries: Commands = MappingProxyType({})

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = self.entries.get(cmd_name)
        if found is None:
            return None
        if isinstance(found.lies, str):
            return _command(cmd_name, found.says, found.lies)
        group = Program(name=cmd_name, help=found.says.msgid, no_args_is_help=True, rich_markup_mode=None)
        group.entries = found.lies
        return group

    def get_help(self, ctx: Any) -> str:
        rows = [(name, entry.says.say(terminal_language())) for name, entry in self.entries.items()]
        return help_of(self, ctx, rows)

    def main(self, args: Sequence[str] | None = None, prog_name: str | None = None, *more: Any, **extra: Any) -> Any:
        """Run it and end the process; a wrong command line is a sentence and exit code 2."""
        extra["standalone_mode"] = False
        try:
            code = super().main(args, prog_name, *more, **extra)
        except UsageError as error:
            typer.echo(mistake_of(error), err=True)
            sys.exit(BAD_INPUT)
        except typer.Abort:
            typer.echo(_("Given up.").say(terminal_language()), err=True)
            sys.exit(FAILED)
        sys.exit(code if isinstance(code, int) else 0)


def _command(name: str, says: Sentence, lies: str) -> Any:
    module, _colon, function = lies.partition(":")
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name=name, help=says.msgid, cls=Spoken)(getattr(import_module(module), function))
    return main.get_command(alone)
