"""`tocsin schedule preview`: a day in one zone, drawn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from broadcast_core.cli.client import JsonOption, bad_input, core, json_of, print_json
from broadcast_core.cli.library import titles_of
from broadcast_core.cli.schedule.edit import read_records
from broadcast_core.cli.schedule.recurrence import one_date
from broadcast_core.cli.schedule.timeline import Day
from broadcast_core.i18n import _, terminal_language


def preview(
    zone: Annotated[str, typer.Argument(metavar="ZONE", help=_("A zone's code.").msgid, show_default=False)],
    when: Annotated[
        str | None,
        typer.Option("--date", metavar="2026-10-01", help=_("Local; today if not said.").msgid, show_default=False),
    ] = None,
    draft: Annotated[
        Path | None,
        typer.Option(
            "--with",
            help=_("One slot from JSON or TOML that is not saved, and is not by this.").msgid,
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """What plays in a zone on a day, what is held and why, and who wins. Nothing is saved."""
    asked = {"zone": zone} | ({} if when is None else {"date": one_date(when, "--date")})
    body = None
    if draft is not None:
        _playlists, slots = read_records(draft)
        if len(slots) != 1:
            bad_input(_("A preview takes one slot, this file has {count}.", count=len(slots)), "--with")
        body = json.dumps(slots[0], default=str).encode()
    with core(unknown=_("There is no zone {code}; `tocsin registry show` lists the zones.", code=zone)) as api:
        if body is None:
            day = api.get("/schedule/preview", asked)
        else:
            headers = {"Content-Type": "application/json"}
            parameters = list(asked.items())
            day = json_of(api.read("POST", "/schedule/preview", params=parameters, data=body, headers=headers))
        if as_json:
            print_json(day)
            return
        names = {slot["id"]: slot["name"] for slot in api.get("/schedule")["slots"]}
        titles = titles_of(api) if day["segments"] or day["held"] else {}
        (kind,) = api.get("/calendar", {"first": day["date"], "last": day["date"]})["days"]
    if body is not None:
        names[slots[0]["id"]] = slots[0].get("name", slots[0]["id"])
    Console().print(Day(day, kind, names, titles, terminal_language()), highlight=False, markup=False)
