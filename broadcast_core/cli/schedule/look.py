"""`tocsin schedule list`, `show` and `check`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, core, print_json, say
from broadcast_core.cli.duration import spoken
from broadcast_core.cli.exits import FAILED, OK
from broadcast_core.cli.schedule import recurrence
from broadcast_core.i18n import Sentence, _, terminal_language

_MOST_ZONES: Final = 3

# The fields of a slot as people read them; what is not here has no words of its own.
_FIELDS: Final[Mapping[str, Sentence]] = {
    "id": _("slot"),
    "name": _("name"),
    "zones": _("zones"),
    "when": _("when"),
    "playlist": _("playlist"),
    "volume": _("volume"),
    "authority": _("authority"),
    "late": _("late"),
    "fill": _("shorter"),
    "overrun": _("longer"),
    "enabled": _("plays"),
}


def list_slots(as_json: JsonOption = False) -> None:
    """All slots: when, where, what."""
    with core() as api:
        answer = api.get("/schedule")
    if as_json:
        print_json(answer)
        return
    if not answer["slots"]:
        say(_("There is no slot yet; `tocsin schedule add` makes one."))
        return
    language = terminal_language()
    table = Table(box=None, padding=(0, 1, 0, 0))
    for head, fold in ((_("slot"), False), (_("when"), True), (_("zones"), True), (_("playlist"), True)):
        table.add_column(head.say(language), overflow="fold" if fold else "ellipsis", max_width=None if fold else 20)
    table.add_column(_("volume").say(language), justify="right", no_wrap=True)
    for slot in answer["slots"]:
        name = Text(slot["id"], style="" if slot["enabled"] else "dim strike")
        if slot["name"] != slot["id"]:
            name.append(f"\n{slot['name']}", style="dim")
        table.add_row(name, when(slot, language), _zones(slot["zones"]), slot["playlist"], f"{slot['volume']} %")
    Console().print(table, highlight=False, markup=False)


def show(
    slot: Annotated[str, typer.Argument(metavar="SLOT", show_default=False)], as_json: JsonOption = False
) -> None:
    """One slot."""
    unknown = _("There is no slot {slot}; `tocsin schedule list` shows what there is.", slot=slot)
    with core(unknown=unknown) as api:
        found = api.get(f"/schedule/slots/{slot}")
    if as_json:
        print_json(found)
        return
    language = terminal_language()
    shown = {**found, "zones": ", ".join(found["zones"]), "when": when(found, language)}
    shown["volume"] = f"{found['volume']} %"
    shown["late"] = _("{rule}, after {grace}", rule=found["late"], grace=spoken(found["grace_s"])).say(language)
    shown["enabled"] = (_("yes") if found["enabled"] else _("no, it is switched off")).say(language)
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, head in _FIELDS.items():
        grid.add_row(head.say(language), str(shown[name]))
    Console().print(grid, highlight=False, markup=False)


def check(as_json: JsonOption = False) -> None:
    """What there is to say about the schedule: overlaps, what is held and why. Exit code 1 if something is wrong."""
    with core() as api:
        findings = api.get("/schedule/check")["findings"]
    if as_json:
        print_json({"findings": findings})
    elif not findings:
        say(_("Nothing to say: everything plays as it is written."))
    else:
        console = Console()
        for finding in findings:
            sign, style = ("✗", "red") if finding["refused"] else ("!", "yellow")
            console.print(Text(f"{sign} {finding['detail']}", style=style))
            console.print(Text(f"  → {finding['field']}", style="dim"))
    raise typer.Exit(FAILED if any(finding["refused"] for finding in findings) else OK)


def when(slot: Mapping[str, Any], language: str) -> str:
    """When a slot happens, in words."""
    words = [sentence.say(language) for sentence in recurrence.read(slot["recurrence"])]
    at = [] if slot["start"] is None else [slot["start"].removesuffix(":00")]
    lasts = _("for {length}", length=spoken(slot["length_s"])).say(language)
    return ", ".join([*(f"{words[0]} {time}" for time in at), *([] if at else words[:1]), lasts, *words[1:]])


def _zones(zones: list[str]) -> str:
    return ", ".join(zones[:_MOST_ZONES]) + (f" … ({len(zones)})" if len(zones) > _MOST_ZONES else "")
