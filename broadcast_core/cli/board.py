"""The picture of an alert: a row for each channel, and in words what failed, what was stopped, until when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broadcast_core.cli.examples import FAILED_STATES, MOST, Rows, examples
from broadcast_core.clock import Clock, SystemClock
from broadcast_core.i18n import Sentence, _
from broadcast_core.naming import CHANNELS, REASONS, STATES

Json = Mapping[str, Any]

_RUNGS: Final = ("sent", "received", "started", "finished")
_HEADS: Final = {
    "channel": _("channel"),
    "targets": _("targets"),
    **{rung: STATES[rung] for rung in _RUNGS},
    "failed": STATES["failed"],
    "first": _("first"),
    "last": _("last"),
}
_LEFT: Final = {"channel", *_RUNGS}
_WIDTH: Final = 5
_CAUSES: Final = {
    "stop": _("Stopped by {by} at {time}."),
    "cancel": _("Cancelled by {by} at {time}."),
    "superseded": _("Superseded by a newer message at {time}."),
}


class Board:
    """How the newest revision of an alert stands, as the core has said it."""

    def __init__(self, language: str, clock: Clock | None = None) -> None:
        self._language = language
        self._clock = clock or SystemClock()
        self._newest: Json | None = None
        self._live: Json | None = None
        self._rows: Rows = ()
        self._over = False

    def update(self, report: Json, *, live: Mapping[int, Json] | None = None, rows: Rows = ()) -> None:
        """A report, what a stream has said since of each live revision, and deliveries that failed."""
        if report["revisions"]:
            self._newest = report["revisions"][0]
            self._live = (live or {}).get(self._newest["revision"])
            self._rows = rows
            self._over = report["complete"]

    def __rich__(self) -> RenderableType:
        """For a terminal of 80 columns or more."""
        if self._newest is None:
            return Text()
        return Group(self._table(self._newest), self._below(self._newest))

    def _table(self, newest: Json) -> Table:
        table = Table(box=None, padding=(0, 1, 0, 0))
        for name, head in _HEADS.items():
            table.add_column(self._say(head), justify="left" if name in _LEFT else "right", no_wrap=True)
        for channel, count in newest["channels"].items():
            seconds = count["seconds"].get("received", {})
            states = self._states(channel, count)
            failed = sum(states[state] for state in FAILED_STATES)
            table.add_row(
                self._say(CHANNELS[channel]),
                str(count["targets"]),
                *(_rung(count, states, rung) for rung in _RUNGS),
                Text(str(failed), style="red" if failed else "dim"),
                _seconds(seconds.get("first")),
                _seconds(seconds.get("last")),
            )
        return table

    def _states(self, channel: str, count: Json) -> Mapping[str, int]:
        told: Mapping[str, int] | None = self._live["channels"].get(channel) if self._live is not None else None
        return count["states"] if told is None else told

    def _below(self, newest: Json) -> RenderableType:
        lines = Table.grid(padding=(0, 1, 0, 0))
        lines.add_column(justify="right", no_wrap=True)
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        for channel, count in newest["channels"].items():
            for number, words, style in self._failures(channel, count):
                lines.add_row(Text(str(number), style=style), f"{self._say(CHANNELS[channel])}:", words)
        sentences = [*self._ending(newest), *self._nature(newest)]
        return Group(lines, *(Text(sentence, style=style) for sentence, style in sentences))

    def _failures(self, channel: str, count: Json) -> Iterator[tuple[int, str, str]]:
        """Of a channel: how many failed why, most first; then those that were stopped on their way."""
        found = [(n, state, reason) for state in FAILED_STATES for reason, n in count[state].items()]
        for n, state, reason in sorted(found, reverse=True, key=lambda one: one[0]):
            why = self._say(REASONS.get(reason, STATES[state]))
            ids = examples(self._rows, channel, state, reason)
            yield n, _with_examples(why, ids, n, self._language), "red"
        stopped = self._states(channel, count)["stopped"]
        if stopped:
            yield stopped, self._say(_("stopped before they had finished")), "yellow"

    def _ending(self, newest: Json) -> Iterator[tuple[str, str]]:
        ended, silence = newest["ended"], newest["silence"]
        if ended is not None:
            sentence = _CAUSES.get(ended["cause"], _CAUSES["stop"])
            values: dict[str, object] = {"by": ended["by"], "time": self._time(ended["at"])}
            yield Sentence(sentence.msgid, values).say(self._language), "bold"
        for channel, told in (silence["channels"] if silence else {}).items():
            missing = [one["endpoint_id"] for one in silence["unproven"] if one["channel"] == channel]
            yield self._silence(channel, told, missing)

    def _silence(self, channel: str, told: Json, missing: Sequence[str]) -> tuple[str, str]:
        name, seconds = CHANNELS[channel], told["seconds"]
        if told["proven"] == told["told"] and seconds:
            sentence = _("{channel}: {told} told to stop, all proven silent, the last after {seconds} s.",
                         channel=name, told=told["told"], seconds=f"{seconds['last']:.2f}")  # fmt: skip
            return sentence.say(self._language), "green"
        sentence = _("{channel}: {told} told to stop, {proven} proven silent; no proof yet",
                     channel=name, told=told["told"], proven=told["proven"])  # fmt: skip
        return _with_examples(sentence.say(self._language), missing, len(missing), self._language), "yellow"

    def _nature(self, newest: Json) -> Iterator[tuple[str, str]]:
        total = newest["total"]
        if total["simulated"]:
            sentence = (
                _("All {targets} targets are simulated: this is no proof.", targets=total["targets"])
                if total["simulated"] == total["targets"]
                else _("{count} of {targets} targets are simulated and count as no proof.",
                       count=total["simulated"], targets=total["targets"])
            )  # fmt: skip
            yield sentence.say(self._language), "magenta"
        if newest["ended"] is None and not self._over:
            yield self._validity(newest["expires"]), "dim"

    def _validity(self, expires: str) -> str:
        left = int((datetime.fromisoformat(expires) - self._clock.now()).total_seconds())
        if left <= 0:
            return _("It expired at {time}.", time=self._time(expires)).say(self._language)
        hours, minutes, seconds = left // 3600, left // 60 % 60, left % 60
        clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return _("Valid until {time}, {left} left.", time=self._time(expires), left=clock).say(self._language)

    def _time(self, instant: str) -> str:
        """In the terminal's own time; with the day when it is another one."""
        local, today = datetime.fromisoformat(instant).astimezone(), self._clock.now().astimezone()
        return f"{local:%H:%M:%S}" if local.date() == today.date() else f"{local:%Y-%m-%d %H:%M:%S}"

    def _say(self, sentence: Sentence) -> str:
        return sentence.say(self._language)


def _rung(count: Json, states: Mapping[str, int], rung: str) -> RenderableType:
    if rung not in count["rungs"]:
        return Text("–", style="dim")
    # Both say "at least so many": who stands at a rung has reached those below it.
    reached = max(count["rungs"][rung], sum(states[above] for above in _RUNGS[_RUNGS.index(rung) :]))
    cell = Table.grid(padding=(0, 1, 0, 0))
    targets = max(1, count["targets"])
    colour = "green" if reached == targets else "yellow"
    cell.add_row(Text(f"{reached:>4}", no_wrap=True), Bar(targets, 0, reached, width=_WIDTH, color=colour))
    return cell


def _with_examples(words: str, ids: Sequence[str], count: int, language: str) -> str:
    if not ids:
        return words
    some = f"{', '.join(ids[:MOST])}{' …' if count > MOST else ''}"
    return _("{name}: {why}", name=words, why=some).say(language)


def _seconds(value: float | None) -> str:
    """Five columns at most, or the table would not fit."""
    if value is None:
        return ""
    decimals = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{decimals}f}s"
