"""The settings a command runs with, or a sentence about what is wrong with them."""

from __future__ import annotations

import resource
import tomllib
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from broadcast_core.cli.exits import BAD_INPUT
from broadcast_core.cli.why import why_not
from broadcast_core.config import Settings
from broadcast_core.i18n import _, terminal_language

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help=_("Settings (TOML); TOCSIN_… variables stand over it.").msgid, envvar="TOCSIN_CONFIG"
    ),
]


def load(path: Path | None) -> Settings:
    """The settings. Ends the command with exit code 2 and one line for each bad key."""
    try:
        if path is not None:
            path.open("rb").close()  # the reader of the settings takes a file that is not there for an empty one
        return Settings.load(path)
    except ValidationError as error:
        for problem in error.errors():
            where = ".".join(str(part) for part in problem["loc"])
            _say(_("Setting {name}: {problem}", name=where, problem=problem["msg"]).say(terminal_language()))
    except (OSError, tomllib.TOMLDecodeError) as error:
        _say(
            _(
                "The settings {path} cannot be read: {detail}",
                path=path,
                detail=why_not(error) if isinstance(error, OSError) else error,
            ).say(terminal_language())
        )
    raise typer.Exit(BAD_INPUT)


def open_all_descriptors() -> None:
    """Raise the soft limit of open files to the hard one: a socket for each speaker and each console."""
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _say(line: str) -> None:
    typer.echo(line, err=True)
