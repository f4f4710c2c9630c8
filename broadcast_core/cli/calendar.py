"""`tocsin calendar`: show, set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from itertools import groupby
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, bad_input, core, print_json, say
from broadcast_core.cli.schedule.edit import tell_warnings
from broadcast_core.cli.schedule.recurrence import DAY_NAMES, one_date
from broadcast_core.i18n import Sentence, _, terminal_language

_WEEK: Final = 7
_SOURCES: Final[Mapping[str, Sentence]] = {
    "official": _("announced"),
    "expected": _("expected"),
    "edited": _("set here"),
}
_KINDS: Final[Mapping[str, tuple[Sentence, str]]] = {"work": (_("work"), ""), "rest": (_("rest"), "green")}
_When = Annotated[str | None, typer.Option(metavar="2026-10-01", show_default=False)]


def show(first: _When = None, last: _When = None, as_json: JsonOption = False) -> None:
    """Working days and days of rest, make-up days included. Five weeks from today if not said otherwise."""
    asked = {"first": first, "last": last}
    parameters = {name: one_date(text, f"--{name}") for name, text in asked.items() if text is not None}
    with core() as api:
        answer = api.get("/calendar", parameters)
    if as_json:
        print_json(answer)
        return
    language, console = terminal_language(), Console()
    console.print(_weeks(answer["days"], language), highlight=False)
    for day in answer["days"]:
        if day["name"] or day["source"] == "edited":
            kind, style = _KINDS[day["kind"]]
            line = Text(f"{day['date']} {_weekday(day['date']).say(language)}  ")
            line.append(f"{kind.say(language)}  {day['name']}", style=style)
            line.append(f"  ({_SOURCES[day['source']].say(language)})", style="dim")
            console.print(line)
    for note in answer["notes"]:
        console.print(note, style="yellow", highlight=False, markup=False)


def set_day(
    when: Annotated[str, typer.Argument(metavar="DATE", show_default=False)],
    kind: Annotated[str | None, typer.Argument(metavar="work|rest", show_default=False)] = None,
    name: Annotated[str, typer.Option(help=_("Why, for the calendar.").msgid, show_default=False)] = "",
    as_announced: Annotated[
        bool, typer.Option("--as-announced", help=_("Take back what was set here.").msgid)
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Say what kind of day a date is, whatever was announced. Needs the scope admin."""
    day = one_date(when, "DATE")
    if as_announced == (kind is not None) or kind not in {"work", "rest", None}:
        bad_input(_("Say work or rest, or --as-announced."))
    unknown = _("Nothing was set for {date}; it is as announced.", date=day)
    with core(unknown=unknown) as api:
        if as_announced:
            answer = api.send("DELETE", f"/calendar/{day}")
        else:
            answer = api.send("PUT", f"/calendar/{day}", {"kind": kind, "name": name})
    if as_json:
        print_json(answer)
        return
    say(_("Saved: what is queued for {date} follows.", date=day))
    tell_warnings(answer["warnings"])


def _weeks(days: Sequence[Mapping[str, Any]], language: str) -> Table:
    """One line for each week, Monday first; days of rest in green, those that are set here underlined."""
    table = Table(box=None, padding=(0, 1, 0, 0))
    table.add_column("", no_wrap=True)
    for name in DAY_NAMES:
        table.add_column(name.say(language), justify="right", no_wrap=True)
    for month, week in _by_week(days):
        cells = [Text("")] * _WEEK
        for day in week:
            style = _KINDS[day["kind"]][1] + (" underline" if day["source"] == "edited" else "")
            rests = "*" if day["kind"] == "rest" else " "  # also without colours
            cells[date.fromisoformat(day["date"]).weekday()] = Text(f"{day['date'][8:]}{rests}", style=style.strip())
        table.add_row(Text(month, style="dim"), *cells)
    return table


def _by_week(days: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    def monday(day: Mapping[str, Any]) -> tuple[str, date]:
        when = date.fromisoformat(day["date"])
        return f"{when:%Y-%m}", when - timedelta(days=when.weekday())

    shown = ""
    for (month, _monday), week in groupby(days, key=monday):
        yield ("" if month == shown else month), list(week)
        shown = month


def _weekday(text: str) -> Sentence:
    return DAY_NAMES[date.fromisoformat(text).weekday()]
