"""`tocsin playlist`: add, list, show, remove."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from broadcast_core.cli.client import JsonOption, bad_input, core, print_json, say, say_error
from broadcast_core.cli.duration import option, spoken
from broadcast_core.cli.exits import FAILED
from broadcast_core.cli.library import titles_of
from broadcast_core.cli.schedule.edit import one_identifier, tell_warnings
from broadcast_core.i18n import _, terminal_language

_Playlist = Annotated[str, typer.Argument(metavar="PLAYLIST", show_default=False)]


def add(
    playlist: _Playlist,
    items: Annotated[
        list[str],
        typer.Argument(metavar="ITEM…", help=_("Of the library, in their order.").msgid, show_default=False),
    ],
    name: Annotated[str | None, typer.Option(help=_("As people know it.").msgid, show_default=False)] = None,
    shuffled: Annotated[
        bool, typer.Option("--shuffled", help=_("In another order each day, without repeats.").msgid)
    ] = False,
    gap: Annotated[
        timedelta | None,
        typer.Option(parser=option, metavar="2s", help=_("Silence between two items.").msgid, show_default=False),
    ] = None,
    chime: Annotated[str | None, typer.Option(help=_("An item that opens it.").msgid, show_default=False)] = None,
    replace: Annotated[bool, typer.Option("--replace", help=_("Change what is there already.").msgid)] = False,
    as_json: JsonOption = False,
) -> None:
    """Save a playlist of items of the library."""
    record = {
        "name": name or playlist,
        "items": items,
        "order": "shuffled" if shuffled else "in_order",
        "gap_s": 0 if gap is None else gap.total_seconds(),
        "chime": chime,
    }
    one_identifier(playlist, "PLAYLIST")
    with core() as api:
        known = {one["id"]: one["name"] for one in api.get("/schedule")["playlists"]}
        if playlist in known and not replace:
            bad_input(
                _("{id} is there already (“{name}”); --replace changes it.", id=playlist, name=known[playlist]),
                f"playlists.{playlist}",
            )
        answer = api.send("PUT", f"/schedule/playlists/{playlist}", record)
    if as_json:
        print_json(answer)
        return
    say(_("{slot} is saved.", slot=playlist))
    tell_warnings(answer["warnings"])


def list_playlists(as_json: JsonOption = False) -> None:
    """All playlists, and which slots play them."""
    with core() as api:
        schedule = api.get("/schedule")
    if as_json:
        print_json({"items": schedule["playlists"]})
        return
    if not schedule["playlists"]:
        say(_("There is no playlist yet; `tocsin playlist add` makes one."))
        return
    language = terminal_language()
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head in (_("playlist"), _("name"), _("items"), _("slots")):
        table.add_column(head.say(language), overflow="fold", justify="right" if head.msgid == "items" else "left")
    for playlist in schedule["playlists"]:
        table.add_row(playlist["id"], playlist["name"], str(len(playlist["items"])), _users(schedule, playlist["id"]))
    Console().print(table, highlight=False, markup=False)


def show(playlist: _Playlist, as_json: JsonOption = False) -> None:
    """One playlist: its items in their order, and the slots that play it."""
    with core() as api:
        schedule = api.get("/schedule")
        titles = {} if as_json else titles_of(api)
    found = next((one for one in schedule["playlists"] if one["id"] == playlist), None)
    if found is None:
        say_error(
            _("There is no playlist {playlist}; `tocsin playlist list` shows what there is.", playlist=playlist)
        )
        raise typer.Exit(FAILED)
    if as_json:
        print_json(found)
        return
    language = terminal_language()
    order = _("in another order each day") if found["order"] == "shuffled" else _("in this order")
    typer.echo(f"{found['id']}  {found['name']}  ({order.say(language)})")
    if found["chime"]:
        say(_("opened by {chime}", chime=f"{found['chime']} {titles.get(found['chime'], '')}".rstrip()))
    for number, item in enumerate(found["items"], 1):
        typer.echo(f"{number:>4}  {item}  {titles.get(item, '')}".rstrip())
    if found["gap_s"]:
        say(_("{gap} of silence between two", gap=spoken(found["gap_s"])))
    say(_("played by: {slots}", slots=_users(schedule, playlist) or "–"))


def remove(
    playlists: Annotated[list[str], typer.Argument(metavar="PLAYLIST…", show_default=False)],
    as_json: JsonOption = False,
) -> None:
    """Remove playlists that no slot plays."""
    for playlist in playlists:
        unknown = _("There is no playlist {playlist}; `tocsin playlist list` shows what there is.", playlist=playlist)
        with core(unknown=unknown) as api:
            api.send("DELETE", f"/schedule/playlists/{playlist}")
        if not as_json:
            say(_("{slot} is removed.", slot=playlist))
    if as_json:
        print_json({"removed": playlists})


def _users(schedule: Mapping[str, Any], playlist: str) -> str:
    return ", ".join(slot["id"] for slot in schedule["slots"] if slot["playlist"] == playlist)
