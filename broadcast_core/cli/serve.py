"""`tocsin serve`: the core."""

from __future__ import annotations

import asyncio
import gc
from typing import Annotated

import typer

from broadcast_core import app as core
from broadcast_core.cli.logging import log_to_stderr
from broadcast_core.cli.settings import ConfigOption, load, open_all_descriptors
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language
from broadcast_core.keys import InsecureSecret
from broadcast_core.services import Services

_FAILED = 1


def serve(
    config: ConfigOption = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error")] = "info",
) -> None:
    """Run the core until SIGTERM: API, dispatch, drivers, and the embedded broker unless another is set."""
    settings = load(config)
    log_to_stderr(log_level)
    open_all_descriptors()
    language = terminal_language()

    def ready(services: Services) -> None:
        # What lives as long as the process need not be looked through again at every collection.
        gc.collect()
        gc.freeze()
        api, root = services.settings.api, services.settings.data_dir
        where = api.public_url or f"http://{api.host}:{api.port}"
        sentence = _("Tocsin is up: API at {url}, token in {token}.", url=where, token=root / "secrets/api-token")
        typer.echo(sentence.say(language))

    try:
        asyncio.run(core.serve(settings, ready=ready))
    except (TocsinError, InsecureSecret, OSError) as error:
        typer.echo(_("Tocsin does not start: {why}", why=str(error)).say(language), err=True)
        raise typer.Exit(_FAILED) from error
