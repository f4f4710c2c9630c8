"""The numbers of what is live, from memory: cheap enough to ask four times a second."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from broadcast_core.live import LiveAlert
from broadcast_core.model import Channel, DeliveryKind
from broadcast_core.report.shape import STATE_OF, Report, State
from broadcast_core.report.tally import states_of


@dataclass(frozen=True, kw_only=True, slots=True)
class LiveCount:
    """One live message: where its starts stand, and where its stops do, by channel."""

    alert_id: str
    revision: int
    accepted_at: datetime
    expires: datetime
    ended: bool  # by a stop, cancel or update
    complete: bool
    channels: Mapping[Channel, Mapping[State, int]]
    stops: Mapping[Channel, Mapping[State, int]]


def live_counts(live: Iterable[LiveAlert]) -> list[LiveCount]:
    """The numbers of these live messages. Evidence shows here at once, in the database a commit later."""
    return [
        LiveCount(
            alert_id=alert.alert_id,
            revision=alert.revision,
            accepted_at=alert.accepted_at,
            expires=alert.expires,
            ended=alert.ended,
            complete=alert.complete,
            channels=_states(alert, DeliveryKind.START),
            stops=_states(alert, DeliveryKind.STOP),
        )
        for alert in live
    ]


def settled_counts(found: Report) -> tuple[LiveCount, ...]:
    """The numbers of an alert that is no longer live, in the same form, oldest revision first."""
    return tuple(
        LiveCount(
            alert_id=found.alert_id,
            revision=revision.revision,
            accepted_at=revision.accepted_at,
            expires=revision.expires,
            ended=revision.ended is not None,
            complete=found.complete,
            channels={channel: count.states for channel, count in revision.channels.items()},
            stops={},
        )
        for revision in reversed(found.revisions)
    )


def _states(alert: LiveAlert, wanted: DeliveryKind) -> dict[Channel, dict[State, int]]:
    found: dict[Channel, dict[State, int]] = {}
    for (channel, kind, progress), n in alert.tally.items():
        if kind is wanted and n:
            found.setdefault(channel, states_of(()))[STATE_OF[progress]] += n
    return {channel: found[channel] for channel in Channel if channel in found}
