"""The evidence a speaker keeps: written before it is said, and kept until nobody can ask for it."""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from msgspec.structs import replace

from broadcast_core.model import Reason
from broadcast_core.player import AnyTrack, Ended, Item
from drivers.ip_speaker.wire import Up
from drivers.ip_speaker.wire.command import ModeCommand, StartCommand, StopCommand
from drivers.ip_speaker.wire.report import PlayEntry, ReceiptReport
from simulators.speakers.effects import Say
from simulators.speakers.memory import Memory
from simulators.speakers.signed_time import DeviceClock

ENDS: Final = {"FINISHED": "finished", "FAILED": "failed", "STOPPED": "stopped"}


class Named(Protocol):
    """What evidence is about: a start, a change of mode, a self-test, or an item of the player."""

    @property
    def alert(self) -> str: ...
    @property
    def rev(self) -> int: ...
    @property
    def exp(self) -> int: ...


class _Over(NamedTuple):
    alert: str
    rev: int
    exp: int


def unsupported(alert: str, rev: int, at: int) -> ReceiptReport:
    """The answer to a start that this firmware is too old for. Nothing is remembered of it."""
    return ReceiptReport(alert=alert, rev=rev, progress="failed", at=at, reason=Reason.UNSUPPORTED, played_ms=0)


class Ledger:
    """Reads and writes the evidence in a speaker's memory. Instants are the device's monotonic ms."""

    def __init__(self, memory: Memory, clock: DeviceClock) -> None:
        self._memory = memory
        self._clock = clock

    def last(self, alert: str, rev: int) -> list[Say]:
        """Everything that is known of this revision: of its start, of its stop."""
        known = self._memory.alerts.get(alert)
        both = () if known is None else (known.starts.get(rev), known.stops.get(rev))
        return [Say(Up.RECEIPT, evidence) for evidence in both if evidence is not None]

    def of_start(self, alert: str, rev: int) -> ReceiptReport | None:
        """The last evidence of this start."""
        known = self._memory.alerts.get(alert)
        return None if known is None else known.starts.get(rev)

    def of_stop(self, alert: str, rev: int) -> ReceiptReport | None:
        """The last evidence of this stop."""
        known = self._memory.alerts.get(alert)
        return None if known is None else known.stops.get(rev)

    def overtaken(self, start: StartCommand) -> str | None:
        """Why this revision comes too late to start, if it does."""
        known = self._memory.alerts.get(start.alert)
        if known is None:
            return None
        if start.rev <= known.ended_rev:
            return "stopped before it came"
        return "superseded" if start.rev < known.rev else None

    def accepted(self, start: StartCommand | ModeCommand, at: int) -> Say:
        """This revision is the alert's newest from now on."""
        known = self._memory.of(start.alert, start.exp, self._clock.now(at))
        known.rev = start.rev
        return self.wrote(start, "received", at)

    def stopped(self, stop: StopCommand, at: int) -> Say:
        """No revision up to the stop's may start any more."""
        known = self._memory.of(stop.alert, stop.exp, self._clock.now(at))
        known.ended_rev = max(known.ended_rev, stop.rev)
        return self.obeyed(stop, "received", at)

    def wrote(
        self,
        start: Named,
        progress: str,
        at: int,
        *,
        reason: Reason | None = None,
        detail: str = "",
        played_ms: int | None = None,
        plays: tuple[PlayEntry, ...] = (),
    ) -> Say:
        """Evidence of a start (or a change of mode), the new last one."""
        report = ReceiptReport(
            alert=start.alert,
            rev=start.rev,
            progress=progress,
            at=self._clock.now(at),
            reason=reason,
            detail=detail,
            played_ms=played_ms,
            plays=plays,
        )
        self._memory.of(start.alert, start.exp, report.at).starts[start.rev] = report
        return Say(Up.RECEIPT, report)

    def ended(self, end: Ended) -> Say:
        """Evidence of how an item ended, with how long it was heard."""
        return self.wrote(
            _Over(end.item.identifier, end.item.revision, end.item.expires),
            ENDS[end.progress.name],
            end.at,
            reason=end.reason,
            detail=end.detail,
            played_ms=end.played_ms,
            plays=tuple((play.item_id, play.times, play.ms, play.reason) for play in end.plays),
        )

    def started(self, item: Item, at: int) -> Say:
        """Evidence that it has begun."""
        return self.wrote(_Over(item.identifier, item.revision, item.expires), "started", at)

    def obeyed(self, stop: StopCommand, progress: str, at: int) -> Say:
        """Evidence of a stop, the new last one."""
        report = ReceiptReport(alert=stop.alert, rev=stop.rev, kind="stop", progress=progress, at=self._clock.now(at))
        self._memory.of(stop.alert, stop.exp, report.at).stops[stop.rev] = report
        return Say(Up.RECEIPT, report)

    def checkpoint(self, track: AnyTrack) -> None:
        """How long it has sounded, in case the power goes."""
        report = self.of_start(track.identifier, track.item.revision)
        if report is not None and report.progress == "started":
            starts = self._memory.alerts[track.identifier].starts
            starts[track.item.revision] = replace(report, played_ms=track.played_ms)

    def mark_interrupted(self) -> None:
        """After a reboot: what had started and not ended was cut off, and will not be played again."""
        for known in self._memory.alerts.values():
            for rev, report in known.starts.items():
                if report.progress == "started":
                    known.starts[rev] = replace(
                        report, progress="failed", reason=Reason.INTERRUPTED, played_ms=report.played_ms or 0
                    )
