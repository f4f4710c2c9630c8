"""`tocsin schedule import` and `export`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from broadcast_core.cli.client import JsonOption, core, json_of, print_json, read_file, save, say, say_error
from broadcast_core.cli.exits import FAILED, OK
from broadcast_core.cli.schedule.edit import split, tell_warnings
from broadcast_core.cli.schedule.look import when
from broadcast_core.i18n import _, terminal_language


def import_schedule(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help=_("iCalendar; - for standard input.").msgid, show_default=False)
    ],
    zones: Annotated[
        list[str] | None,
        typer.Option(
            "--zones", metavar="CODE", help=_("For events of others: zones; with commas, or repeated.").msgid
        ),
    ] = None,
    playlist: Annotated[
        str | None, typer.Option(help=_("For events of others: what plays.").msgid, show_default=False)
    ] = None,
    volume: Annotated[int, typer.Option(min=1, max=100, help=_("For events of others.").msgid)] = 60,
    authority: Annotated[
        str | None, typer.Option(help=_("For events of others: who speaks.").msgid, show_default=False)
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Save nothing, only show.").msgid)] = False,
    as_json: JsonOption = False,
) -> None:
    """Import an iCalendar file. Exit code 1 if something of it could not become a slot."""
    body = sys.stdin.buffer.read() if file == "-" else read_file(Path(file))
    parameters = [("zone", code) for code in split(zones)]
    parameters += [("playlist", playlist)] if playlist is not None else []
    parameters += [("volume", str(volume))] + ([("authority", authority)] if authority is not None else [])
    parameters += [("dry_run", "true")] if dry_run else []
    with core() as api:
        headers = {"Content-Type": "text/calendar"}
        answer = json_of(
            api.read("POST", "/schedule/import", params=parameters, data=body, headers=headers, timeout=300.0)
        )
    if as_json:
        print_json(answer)
    else:
        _tell(answer)
    left = answer["proposals"] or answer["refused"] or any(f["refused"] for f in answer["findings"])
    raise typer.Exit(FAILED if left else OK)


def export(
    out: Annotated[Path | None, typer.Option(help=_("The file; without it standard output.").msgid)] = None,
) -> None:
    """Export all slots as iCalendar; playlists and items stay here."""
    with core() as api:
        body = api.read("GET", "/schedule.ics")
    if out is None:
        sys.stdout.buffer.write(body)
    else:
        save(out, body)


def _tell(answer: Mapping[str, Any]) -> None:
    language = terminal_language()
    saved = set(answer["saved"])
    for slot in answer["slots"]:
        if slot["id"] in saved:
            name = slot["id"]
            said = _("{slot} would be saved.", slot=name) if answer["dry_run"] else _("{slot} is saved.", slot=name)
            typer.echo(f"{said.say(language)} {slot['name']}: {when(slot, language)}")
    for proposal in answer["proposals"]:
        typer.echo(f"? {proposal['name']}: {when(proposal, language)}")
        for note in proposal["notes"]:
            typer.echo(f"  {note}")
    if answer["proposals"]:
        say(_("Of others, and without zones and a playlist no slots: say --zones and --playlist."))
    for refused in answer["refused"]:
        say_error(f"✗ {refused['name'] or refused['uid'] or refused['component']}: {refused['detail']}")
    tell_warnings(answer["findings"])
    if not any(answer[part] for part in ("slots", "proposals", "refused")):
        say(_("There is nothing in this file."))
