"""A day as a line of 24 hours, and below it in words: what plays, what is held and why, who wins over whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any, Final
from zoneinfo import ZoneInfo

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.schedule.recurrence import DAY_NAMES
from broadcast_core.i18n import Sentence, _

Json = Mapping[str, Any]

_COLUMNS: Final = 72  # twenty minutes each: 80 columns have room for it
_HOUR: Final = _COLUMNS // 24
_NOTHING, _HELD, _PLAYS = range(3)
_SIGNS: Final = {_NOTHING: ("·", "dim"), _HELD: ("░", "yellow"), _PLAYS: ("█", "green")}
_BECAUSE: Final = {
    "authority": _("“{winner}” interrupts “{loser}” {span}: its authority is higher."),
    "began_first": _("“{loser}” waits for “{winner}” {span}, which began first."),
    "identifier": _("“{loser}” waits for “{winner}” {span}: both begin together."),
}


class Day:
    """The API's preview of a zone's day. `kind` is the calendar's word for the day, `names` are the slots' by id,
    `titles` the items'."""

    def __init__(
        self, day: Json, kind: Json, names: Mapping[str, str], titles: Mapping[str, str], language: str
    ) -> None:
        self._day = day
        self._kind = kind
        self._names = names
        self._titles = titles
        self._language = language
        self._tz = ZoneInfo(day["timezone"])
        self._date = date.fromisoformat(day["date"])

    def __rich__(self) -> RenderableType:
        """For a terminal of 80 columns or more."""
        parts: list[RenderableType] = [self._head(), self._hours(), self._line()]
        if not self._day["segments"]:
            parts.append(Text(_("Nothing plays.").say(self._language), style="bold"))
        parts += [self._playing(), self._held(), *self._conflicts()]
        return Group(*parts)

    def _head(self) -> Text:
        weekday = DAY_NAMES[self._date.weekday()].say(self._language)
        budget = _("budget spent: {minutes} min", minutes=f"{self._day['budget_spent']:.1f}").say(self._language)
        head = Text(f"{self._day['zone']}  {self._date} {weekday}", style="bold")
        kind = _("working day") if self._kind["kind"] == "work" else _("day of rest")
        head.append(f"  {kind.say(self._language)} {self._kind['name']}".rstrip(), style="not bold")
        return head.append(f"  {budget}", style="not bold dim")

    def _hours(self) -> Text:
        return Text("".join(f"{hour:<{3 * _HOUR}}" for hour in range(0, 24, 3)), style="dim")

    def _line(self) -> Text:
        cells = [_NOTHING] * _COLUMNS
        for what, pieces in ((_HELD, self._day["held"]), (_PLAYS, self._day["segments"])):
            for piece in pieces:
                begin, end = self._column(piece["starts_at"]), self._column(piece["ends_at"])
                # A minute is to be seen too; what plays is drawn over what is held.
                for column in range(int(begin), max(int(begin) + 1, round(end))):
                    if 0 <= column < _COLUMNS:
                        cells[column] = what
        line = Text()
        for what, group in groupby(cells):
            sign, style = _SIGNS[what]
            line.append(sign * len(list(group)), style=style)
        return line

    def _column(self, instant: str) -> float:
        """Where an instant lies on the line, by the clock on the wall."""
        local = datetime.fromisoformat(instant).astimezone(self._tz).replace(tzinfo=None)
        return (local - datetime.combine(self._date, time())) / timedelta(days=1) * _COLUMNS

    def _playing(self) -> Table:
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_column(justify="right", no_wrap=True)
        for _key, group in groupby(self._day["segments"], key=lambda s: s["occurrence"]):
            pieces = list(group)
            span = self._span(pieces[0]["starts_at"], pieces[-1]["ends_at"])
            name = self._name(pieces[0]["slot"])
            grid.add_row(Text(span, style="green"), Text(name, style="bold"), f"{pieces[0]['volume']} %")
            for piece in pieces:
                grid.add_row(
                    Text(f"  {self._clock(piece['starts_at'], seconds=True)}", style="dim"), self._item(piece)
                )
        return grid

    def _item(self, piece: Json) -> Text:
        line = Text(piece["item"])
        if title := self._titles.get(piece["item"]):
            line.append(f" {title}")
        if piece["position_s"]:
            at = str(timedelta(seconds=round(piece["position_s"])))
            line.append(" " + _("goes on at {position}", position=at).say(self._language), style="dim")
        return line

    def _held(self) -> Table:
        """Each reason once for an occurrence, with the items."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        by_reason: dict[tuple[str, str, str | None], list[Json]] = {}
        for piece in self._day["held"]:
            by_reason.setdefault((piece["occurrence"], piece["held"], piece["by"]), []).append(piece)
        for (_occurrence, _why, by), pieces in by_reason.items():
            begin, end = min(p["starts_at"] for p in pieces), max(p["ends_at"] for p in pieces)
            line = Text(self._name(pieces[0]["slot"]), style="bold")
            items = list(dict.fromkeys(self._titles.get(p["item"], p["item"]) for p in pieces if p["item"]))
            if items:
                line.append(f" {', '.join(items[:3])}{' …' if len(items) > 3 else ''}", style="not bold")
            held = _("does not sound: {why}", why=pieces[0]["detail"]).say(self._language)
            line.append(f" {held}", style="not bold yellow")
            if by is not None:
                line.append(f" ({self._name_of(by)})", style="not bold dim")
            grid.add_row(Text(self._span(begin, end), style="yellow"), line)
        return grid

    def _conflicts(self) -> Iterator[Text]:
        for conflict in self._day["conflicts"]:
            sentence = _BECAUSE[conflict["because"]]
            values = {
                "winner": self._name_of(conflict["winner"]),
                "loser": self._name_of(conflict["loser"]),
                "span": self._span(conflict["starts_at"], conflict["ends_at"]),
            }
            yield Text("! " + Sentence(sentence.msgid, dict(values)).say(self._language), style="magenta")

    def _name_of(self, occurrence: str) -> str:
        return self._name(occurrence.partition("/")[0])

    def _name(self, slot: str) -> str:
        return self._names.get(slot, slot)

    def _span(self, begin: str, end: str) -> str:
        first, last = self._clock(begin), self._clock(end)
        if first == last:  # shorter than a minute
            first, last = self._clock(begin, seconds=True), self._clock(end, seconds=True)
        return f"{first}–{last}"

    def _clock(self, instant: str, *, seconds: bool = False) -> str:
        local = datetime.fromisoformat(instant).astimezone(self._tz)
        if local.date() > self._date and local.time() == time():
            return "24:00"
        return f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
