"""`tocsin alert watch`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live as LiveDisplay

from broadcast_core.cli.board import Board
from broadcast_core.cli.client import JsonOption, core, print_json, say_error
from broadcast_core.cli.exits import FAILED, OK
from broadcast_core.cli.follow import following
from broadcast_core.cli.where import Where
from broadcast_core.i18n import _, terminal_language


def watch(
    alert_id: Annotated[str, typer.Argument(metavar="ALERT", show_default=False)], as_json: JsonOption = False
) -> None:
    """Watch an alert until every delivery has ended. Exit code 1 if one has not finished."""
    stay(alert_id, as_json=as_json)


def stay(alert_id: str, *, as_json: bool) -> None:
    """Show an alert until it is over, also across a restart of the core. Ends the command."""
    unknown = _("There is no alert {alert}; `tocsin alert list` shows what there is.", alert=alert_id)
    try:
        with core(unknown=unknown) as api:
            found = asyncio.run(_show(api.at, alert_id))
    except KeyboardInterrupt:
        say_error(_("Nobody watches any more; the alert goes on. `tocsin stop {alert}` ends it.", alert=alert_id))
        raise
    if as_json:
        print_json(found)
    newest = found["revisions"][0]["total"] if found["revisions"] else None
    finished = newest is not None and newest["rungs"]["finished"] == newest["targets"]
    raise typer.Exit(OK if finished else FAILED)


async def _show(at: Where, alert_id: str) -> Mapping[str, Any]:
    """What the alert came to."""
    board, console = Board(terminal_language()), Console(stderr=True)
    report: Mapping[str, Any] = {}
    with LiveDisplay(board, console=console, refresh_per_second=4):
        async with following(at, alert_id) as pictures:
            async for picture in pictures:
                report = picture.report
                board.update(report, live=picture.live, rows=picture.rows)
    if not console.is_terminal:  # there the last picture has no line end
        console.print()
    return report
