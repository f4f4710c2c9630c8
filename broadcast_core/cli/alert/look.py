"""`tocsin alert list`, `show` and `report`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.board import Board
from broadcast_core.cli.client import JsonOption, core, print_json, save, say
from broadcast_core.cli.examples import Rows, of_newest, wanted
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import STATES

_AlertArgument = Annotated[str, typer.Argument(metavar="ALERT", show_default=False)]


def list_alerts(as_json: JsonOption = False) -> None:
    """The newest alerts."""
    with core() as api:
        answer = api.get("/alerts")
    if as_json:
        print_json(answer)
        return
    if not answer["items"]:
        say(_("There is no alert yet."))
        return
    language = terminal_language()
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in (_("alert"), _("revision"), _("accepted")):
        table.add_column(head.say(language), no_wrap=True)
    for head in (_("where it stands"), _("headline")):
        table.add_column(head.say(language), overflow="fold")
    for alert in answer["items"]:
        accepted = f"{datetime.fromisoformat(alert['accepted_at']).astimezone():%m-%d %H:%M}"
        standing = ", ".join(f"{STATES[name].say(language)} {n}" for name, n in alert["states"].items() if n)
        table.add_row(
            alert["alert_id"], str(alert["revision"]), accepted, standing, alert["headline"] or alert["event"]
        )
    Console().print(table, highlight=False, markup=False)


def show(
    alert_id: _AlertArgument,
    xml: Annotated[bool, typer.Option("--xml", help=_("The newest revision as CAP XML.").msgid)] = False,
    as_json: JsonOption = False,
) -> None:
    """One alert: where everything stands."""
    with core(unknown=_unknown(alert_id)) as api:
        if xml:
            sys.stdout.buffer.write(api.read("GET", f"/alerts/{alert_id}/cap"))
            return
        answer = api.get(f"/alerts/{alert_id}")
        if as_json:
            print_json(answer)
            return
        found = answer["report"]
        rows = [
            row
            for channel, state, _count in wanted(found)
            for row in api.get(f"/alerts/{alert_id}/deliveries", {"channel": channel, "state": state})["items"]
        ]
    _draw(found, rows)


def report(
    alert_id: _AlertArgument,
    csv: Annotated[
        Path | None,
        typer.Option(help=_("Write each delivery's evidence to this CSV file.").msgid, show_default=False),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """The evidence of an alert."""
    with core(unknown=_unknown(alert_id)) as api:
        if csv is not None:
            save(csv, api.read("GET", f"/alerts/{alert_id}/report.csv"))
            say(_("The evidence is in {file}.", file=csv))
            return
        whole = api.get(f"/alerts/{alert_id}/report.json")
    if as_json:
        print_json(whole)
    else:
        _draw(whole, of_newest(whole))


def _unknown(alert_id: str) -> Sentence:
    return _("There is no alert {alert}; `tocsin alert list` shows what there is.", alert=alert_id)


def _draw(found: Mapping[str, Any], rows: Rows) -> None:
    board, console = Board(terminal_language()), Console()
    if not found["revisions"]:  # a Cancel that came before its Alert: it is on file, and nothing ever sounded
        for filed in found["filed"]:
            console.print(
                f"{found['alert_id']}  {filed['msg_type']}: {filed['outcome']}", highlight=False, markup=False
            )
        return
    board.update(found, rows=rows)
    newest = found["revisions"][0]
    console.print(f"{found['alert_id']}  {newest['headline']}", highlight=False, markup=False)
    console.print(board, markup=False)
    for note in newest["notes"]:
        console.print(note, style="yellow", markup=False)
