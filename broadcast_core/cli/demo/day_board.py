"""The picture of the demo's day: the clock, the mode, and what is heard inside and outside of the emergency."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.demo.timetable import FastClock
from broadcast_core.clock import SystemClock
from broadcast_core.i18n import Sentence, _

_WIDTH = 12


class DayBoard:
    """Set `sounding`, `modes` and `report` as they become known."""

    def __init__(
        self,
        language: str,
        clock: FastClock,
        names: Mapping[str, str],
        *,
        inside: Collection[str],
        outside: Collection[str],
    ) -> None:
        self._language = language
        self._clock = clock
        self._names = names
        self._sizes = len(inside), len(outside)
        self.sounding: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
        self.modes: Mapping[str, int] = {}
        self.report: Mapping[str, Any] | None = None

    def __rich__(self) -> RenderableType:
        now = self._clock.shows(SystemClock().now())
        emergency = self.modes.get("emergency", 0)
        head = Text(f" {now:%H:%M} ", style="bold reverse")
        head.append(
            "  " + self._say(_("the clock runs {speed} times as fast", speed=f"{self._clock.speed:g}")) + "  · ",
            style="dim",
        )
        mode = _("emergency mode: {count} speakers", count=emergency) if emergency else _("peacetime everywhere")
        head.append(self._say(mode), style="bold red" if emergency else "green")
        table = Table(box=None, padding=(0, 2, 0, 0))
        for name in (_("heard now"), _("three communities"), _("the rest of the district")):
            table.add_column(self._say(name))
        for title in (*self._names.values(), ""):
            label = Text(title) if title else Text(self._say(_("warning")), style="red")
            table.add_row(label, *(self._bar(which, title) for which in (0, 1)))
        return Group(head, table, *self._proofs())

    def _bar(self, which: int, title: str) -> RenderableType:
        count, size = self.sounding[which][title], max(1, self._sizes[which])
        cell = Table.grid(padding=(0, 1, 0, 0))
        cell.add_row(Text(f"{count:>4}", style="" if count else "dim"), Bar(size, 0, count, width=_WIDTH))
        return cell

    def _proofs(self) -> list[RenderableType]:
        if self.report is None:
            return []
        (one,) = self.report["occurrences"]
        sentence = _(
            "Proof of play: {proven} of {targets} speakers have summed up their programme.",
            proven=one["proven"],
            targets=one["targets"],
        )
        return [Text(self._say(sentence))]

    def _say(self, sentence: Sentence) -> str:
        return sentence.say(self._language)
