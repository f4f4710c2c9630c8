"""`tocsin registry provision`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from broadcast_core.cli.client import say_error
from broadcast_core.cli.exits import FAILED
from broadcast_core.cli.settings import ConfigOption, load
from broadcast_core.cli.why import why_not
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _
from broadcast_core.keys import InsecureSecret, write_secret
from broadcast_core.provision import provision_from
from drivers.ip_speaker.wire.provision import decode


def provision(
    out: Annotated[
        Path, typer.Option(help=_("The new file; it holds the speakers' keys, mode 0600.").msgid, show_default=False)
    ],
    endpoint: Annotated[
        list[str] | None, typer.Option(help=_("Only this speaker: the file has no other's key.").msgid)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """What the speakers are given before they are hung on a wall. Run it on the core's machine."""
    if out.exists():  # keys are never written over
        say_error(_("{file} is there already; keys are never written over.", file=out))
        raise typer.Exit(FAILED)
    try:
        provided = asyncio.run(provision_from(load(config), lambda speaker: not endpoint or speaker.id in endpoint))
        missing = set(endpoint or ()) - {speaker.id for speaker in decode(provided).speakers}
        if missing:
            say_error(_("Not speakers of the registry: {ids}.", ids=", ".join(sorted(missing))))
            raise typer.Exit(FAILED)
        write_secret(out, provided)
    except (OSError, TocsinError, InsecureSecret) as error:
        why = why_not(error) if isinstance(error, OSError) else str(error)
        say_error(_("The keys for {file} cannot be made: {why}", file=out, why=why))
        raise typer.Exit(FAILED) from error
