"""What goes wrong with which message: decided by the seed, the number and how often it was written to, so that the
same run has the same faults in whatever order the messages come. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from random import Random
from typing import Final

ACCEPTED: Final = 8  # Kannel's report types, which are also the bits of dlr-mask
DELIVERED: Final = 1
UNDELIVERED: Final = 2
REJECTED: Final = 16


class Reply(Enum):
    """How a request is answered: HTTP status and Kannel's words. A request that hangs is never answered."""

    ACCEPTED = (202, "0: Accepted for delivery")
    ERROR = (500, "Internal Server Error")
    BUSY = (503, "Temporal failure, try again later.")
    REFUSED = (403, "Not routable. Do not try again.")
    HANGS = (0, "")

    @property
    def reaches_the_phone(self) -> bool:
        return self in {Reply.ACCEPTED, Reply.HANGS}


@dataclass(frozen=True, kw_only=True, slots=True)
class Faults:
    """Shares (0 to 1) of the messages that meet each fault. Those of the reply exclude each other."""

    error: float = 0.0
    busy: float = 0.0
    refused: float = 0.0
    hangs: float = 0.0  # accepted and sent, but the request is never answered
    rejected: float = 0.0  # accepted by the gateway, then refused by the centre
    undelivered: float = 0.0
    lost_reports: float = 0.0
    doubled_reports: float = 0.0
    swapped_reports: float = 0.0  # delivered is reported before accepted
    unknown_reports: float = 0.0  # one more report, for an id that was never given away


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """When reports are sent, in seconds after the request."""

    accepted_s: float = 0.01
    delivered_s: float = 0.05
    spread_s: float = 0.0  # added at random, up to this


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedReport:
    """One report: its type, when it goes out, and whether its id is bent."""

    kind: int
    after_s: float
    unknown_id: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Fate:
    """All that will happen to one request."""

    reply: Reply
    reports: tuple[PlannedReport, ...]


def fate_of(faults: Faults, timing: Timing, *, seed: int, phone: str, nth: int, mask: int) -> Fate:
    """The fate of the `nth` request for a phone, with the reports that `mask` asks for."""
    dice = Random(f"{seed}/{phone}/{nth}")  # noqa: S311 - faults, not secrets
    reply = _reply(faults, dice.random())
    reports = _reports(faults, timing, dice) if reply.reaches_the_phone else []
    return Fate(reply=reply, reports=tuple(r for r in reports if r.kind & mask))


def _reply(faults: Faults, roll: float) -> Reply:
    for share, reply in (
        (faults.error, Reply.ERROR),
        (faults.busy, Reply.BUSY),
        (faults.refused, Reply.REFUSED),
        (faults.hangs, Reply.HANGS),
    ):
        if roll < share:
            return reply
        roll -= share
    return Reply.ACCEPTED


def _reports(faults: Faults, timing: Timing, dice: Random) -> list[PlannedReport]:
    """The dice are rolled in one order for every message, so that one fault does not move the others."""
    rejected, undelivered, lost, doubled, swapped, unknown = (dice.random() for _ in range(6))
    early, late = timing.accepted_s, timing.delivered_s + timing.spread_s * dice.random()
    if rejected < faults.rejected:
        reports = [PlannedReport(kind=REJECTED, after_s=early)]
    else:
        if swapped < faults.swapped_reports:
            early, late = late, early
        last = UNDELIVERED if undelivered < faults.undelivered else DELIVERED
        reports = [PlannedReport(kind=ACCEPTED, after_s=early), PlannedReport(kind=last, after_s=late)]
    if lost < faults.lost_reports:
        reports = []
    if doubled < faults.doubled_reports:
        reports *= 2
    if unknown < faults.unknown_reports:
        reports.append(PlannedReport(kind=DELIVERED, after_s=early, unknown_id=True))
    return reports
