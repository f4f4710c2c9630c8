"""What a report says. Everything in it is evidence or the lack of it; nothing is inferred from being online."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import msgspec

from broadcast_core.model import Channel, DeliveryKind, MsgType, Progress, Reason


class Rung(StrEnum):
    """The rungs of evidence, never merged. Counts of rungs are cumulative: at least so far."""

    SENT = "sent"
    RECEIVED = "received"
    STARTED = "started"
    FINISHED = "finished"
    HEARD = "heard"


class State(StrEnum):
    """Where a delivery stands now. Counts of states add up to the targets at every moment."""

    QUEUED = "queued"
    CLAIMED = "claimed"
    SENT = "sent"
    RECEIVED = "received"
    STARTED = "started"
    EXPIRED = "expired"
    FAILED = "failed"
    STOPPED = "stopped"
    FINISHED = "finished"  # heard or not


RUNG_OF: Final[Mapping[Progress, Rung]] = {Progress[rung.name]: rung for rung in Rung}
STATE_OF: Final[Mapping[Progress, State]] = {
    **{Progress[state.name]: state for state in State},
    Progress.HEARD: State.FINISHED,
}


def state_of(progress: Progress) -> State:
    """Where a delivery of this progress stands."""
    return STATE_OF[progress]


# A phone says only that the gateway took the message, that the centre did, and that it was delivered.
RUNGS: Final[Mapping[Channel, tuple[Rung, ...]]] = {
    Channel.SPEAKER: tuple(Rung),
    Channel.HORN: tuple(Rung),
    Channel.SMS: (Rung.SENT, Rung.RECEIVED, Rung.FINISHED),
}
TIMED: Final = (Rung.RECEIVED, Rung.STARTED, Rung.FINISHED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Seconds from the acceptance until the evidence was on record: of the first, half, 95 % and the last."""

    first: float
    median: float
    p95: float
    last: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Count:
    """One channel's deliveries, or those of all channels."""

    targets: int
    simulated: int
    rungs: Mapping[Rung, int]
    proof: Mapping[Rung, int]  # the same of real endpoints only: what is simulated never counts as proof
    states: Mapping[State, int]
    failed: Mapping[Reason, int]  # adds up to states["failed"]
    expired: Mapping[Reason, int]  # adds up to states["expired"]
    seconds: Mapping[Rung, Spread]  # only rungs that somebody has reached
    attempts: int
    retried: int  # deliveries that took more than one attempt
    possible_duplicates: int  # sent again after a time-out that told nothing


@dataclass(frozen=True, kw_only=True, slots=True)
class Unproven:
    """An endpoint that was told to stop and has not proven to be silent."""

    endpoint_id: str
    channel: Channel
    zone: str
    name: str
    state: State
    reason: Reason | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Silenced:
    """How many were told to stop, and how many have proven that they are silent."""

    told: int
    proven: int
    seconds: Spread | None  # from the stop's act to the proofs


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """Evidence of a stop. What was withdrawn before it was sent needs none; a phone that has rung can give none."""

    channels: Mapping[Channel, Silenced]
    total: Silenced
    unproven: tuple[Unproven, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """What ended a revision before its time."""

    at: datetime
    by: str
    cause: str  # "stop", "cancel", "superseded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Revision:
    """One message of an alert that went out."""

    revision: int
    identifier: str
    sender: str
    sent: datetime
    msg_type: MsgType
    event: str
    headline: str
    area: str  # as `tocsin alert send --area` takes it
    accepted_at: datetime
    expires: datetime
    actor: str
    approval: str  # how it was let go: "one-person", "two-person", "break-glass"
    approved_by: tuple[str, ...]
    notes: tuple[str, ...]
    channels: Mapping[Channel, Count]
    total: Count
    ended: Ended | None
    silence: Silence | None  # None: no endpoint had to be told to stop


@dataclass(frozen=True, kw_only=True, slots=True)
class Filed:
    """A message of the alert that sounds nothing itself: a Cancel, or one that came too late."""

    identifier: str
    sender: str
    sent: datetime
    msg_type: MsgType
    outcome: str
    filed_at: datetime
    actor: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """One line of the timeline: an act with its actor, or the first or last evidence of a rung."""

    at: datetime
    what: str  # the audit's action, or "first_received", "last_finished", …
    revision: int | None = None
    channel: Channel | None = None
    actor: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


class Mark(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """When a rung was reached: by the endpoint's clock, and when it was on record here.

    `at` is None where only later evidence came through. A Struct, because a report makes thousands (20 ms less).
    """

    at: datetime | None
    recorded_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One delivery: the evidence of one endpoint."""

    revision: int
    kind: DeliveryKind
    endpoint_id: str
    channel: Channel
    zone: str  # empty, like the names, if it has left the registry
    zone_name: str
    name: str
    simulated: bool
    state: State
    reason: Reason | None
    detail: str
    attempts: int
    via: str | None
    possible_duplicate: bool
    played_seconds: float | None
    rungs: Mapping[Rung, Mark]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything that is known of an alert."""

    alert_id: str
    complete: bool  # every delivery has ended, one way or the other
    revisions: tuple[Revision, ...]  # newest first
    filed: tuple[Filed, ...]
    timeline: tuple[Moment, ...]
    deliveries: tuple[Row, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """An alert in a list: its newest revision."""

    alert_id: str
    revision: int
    identifier: str
    sender: str
    msg_type: MsgType
    event: str
    headline: str
    actor: str
    first_accepted_at: datetime
    accepted_at: datetime
    expires: datetime
    ended: Ended | None
    targets: Mapping[Channel, int]
    states: Mapping[State, int]
