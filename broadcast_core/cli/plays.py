"""`tocsin report plays`: what the speakers have proven to have played."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.client import JsonOption, core, print_json
from broadcast_core.cli.library import titles_of
from broadcast_core.cli.mode.look import names_of
from broadcast_core.cli.schedule.recurrence import one_date
from broadcast_core.i18n import Sentence, _, terminal_language
from broadcast_core.naming import REASONS

Json = Mapping[str, Any]

_WIDTH: Final = 12
_MOST_ZONES: Final = 20
_When = Annotated[str | None, typer.Option(metavar="2026-10-01", help=_("Local.").msgid, show_default=False)]


def plays(
    first: _When = None,
    last: _When = None,
    zone: Annotated[str | None, typer.Option(help=_("Only in this zone.").msgid, show_default=False)] = None,
    as_json: JsonOption = False,
) -> None:
    """What was played, by occurrence, item and zone. Today if no day is said."""
    days = {"first": first, "last": last}
    asked = {name: one_date(text, f"--{name}") for name, text in days.items() if text is not None}
    unknown = _("There is no zone {code}; `tocsin registry show` lists the zones.", code=zone)
    with core(unknown=unknown if zone is not None else None) as api:
        answer = api.get("/plays", asked | ({} if zone is None else {"zone": zone}))
        if as_json:
            print_json(answer)
            return
        names = names_of(api.get("/registry/zones"))
        titles = titles_of(api) if answer["items"] else {}
    Console().print(Report(answer, names, titles, terminal_language()), highlight=False, markup=False)


class Report:
    """Proof of play for a terminal of 80 columns or more. `names` are the zones' by code, `titles` the items'."""

    def __init__(self, answer: Json, names: Mapping[str, str], titles: Mapping[str, str], language: str) -> None:
        self._answer = answer
        self._names = names
        self._titles = titles
        self._language = language
        self._tz = ZoneInfo(answer["timezone"])

    def __rich__(self) -> RenderableType:
        first, last = self._answer["first"], self._answer["last"]
        title = Text(first if first == last else f"{first} – {last}", style="bold")
        if not self._answer["occurrences"]:
            return Group(title, Text(self._say(_("Nothing was due."))))
        parts: list[RenderableType] = [title, self._occurrences(), *self._failures()]
        if self._answer["items"]:
            parts += ["", self._items()]
        if self._answer["zones"]:
            parts += ["", self._zones()]
        return Group(*parts, *self._nature())

    def _occurrences(self) -> Table:
        table = self._table(_("due"), _("slot"), _("targets"), _("proven"), _("open"), _("failed"), _("taken back"))
        for found in self._answer["occurrences"]:
            due = datetime.fromisoformat(found["starts_at"]).astimezone(self._tz)
            table.add_row(
                f"{due:%m-%d %H:%M}",
                found["slot"],
                str(found["targets"]),
                self._say(_("skipped: too late")) if found["skipped"] else _bar(found["proven"], found["targets"]),
                str(found["owed"]),
                Text(str(found["failed"]), style="red" if found["failed"] else "dim"),
                str(found["withdrawn"]),
            )
        return table

    def _failures(self) -> Iterator[Text]:
        for found in self._answer["occurrences"]:
            for reason, count in sorted(found["reasons"].items(), key=lambda one: -one[1]):
                yield Text(f"{count} × {self._say(REASONS[reason])} ({found['key']})", style="red")

    def _items(self) -> Table:
        table = self._table(_("item"), _("to its end"), _("minutes"), _("speakers"), _("cut off because"))
        items = sorted(self._answer["items"].items(), key=lambda one: -one[1]["played_s"])
        for item, found in items:
            why = ", ".join(f"{self._say(REASONS[reason])} ({n})" for reason, n in found["reasons"].items())
            name = f"{item} {self._titles.get(item, '')}".rstrip()
            table.add_row(name, str(found["times"]), f"{found['played_s'] / 60:.1f}", str(found["speakers"]), why)
        return table

    def _zones(self) -> Group:
        """Minutes of sound in each community, over all its speakers; the loudest first."""
        zones = sorted(self._answer["zones"].items(), key=lambda one: -one[1])
        most = max(minutes for _zone, minutes in zones) or 1.0
        table = self._table(_("zone"), _("minutes of sound, all speakers"))
        for zone, minutes in zones[:_MOST_ZONES]:
            cell = Table.grid(padding=(0, 1, 0, 0))
            cell.add_row(
                Text(f"{minutes:>9.1f}", no_wrap=True), Bar(most, 0, minutes, width=2 * _WIDTH, color="green")
            )
            table.add_row(f"{zone} {self._names.get(zone, '')}".strip(), cell)
        more = len(zones) - _MOST_ZONES
        below = [Text(self._say(_("and {count} more", count=more)), style="dim")] if more > 0 else []
        return Group(table, *below)

    def _nature(self) -> list[Text]:
        targets = sum(found["targets"] for found in self._answer["occurrences"])
        simulated = sum(found["simulated"] for found in self._answer["occurrences"])
        if not simulated:
            return []
        sentence = _("{count} of {targets} targets are simulated and count as no proof.",
                     count=simulated, targets=targets)  # fmt: skip
        return [Text(self._say(sentence), style="magenta")]

    def _table(self, *heads: Sentence) -> Table:
        left = {"due", "slot", "item", "zone", "proven", "cut off because", "minutes of sound, all speakers"}
        table = Table(box=None, padding=(0, 1, 0, 0))
        for head in heads:
            table.add_column(
                self._say(head),
                justify="left" if head.msgid in left else "right",
                no_wrap=head.msgid == "due",
                overflow="fold",
            )
        return table

    def _say(self, sentence: Sentence) -> str:
        return sentence.say(self._language)


def _bar(reached: int, targets: int) -> RenderableType:
    cell = Table.grid(padding=(0, 1, 0, 0))
    colour = "green" if targets and reached == targets else "yellow"
    cell.add_row(Text(f"{reached:>5}", no_wrap=True), Bar(max(1, targets), 0, reached, width=_WIDTH, color=colour))
    return cell
