"""Numbers from memory: the same words as the report's, and the same sums."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from broadcast_core.live import Live
from broadcast_core.model import (
    Approval,
    Authority,
    Certainty,
    Channel,
    Delivery,
    Domain,
    Endpoint,
    Level,
    Plan,
    Progress,
    Reason,
    Receipt,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Unreachable,
    Urgency,
)
from broadcast_core.report import State, live_counts

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.fixture
def start() -> Start:
    return Start(
        alert_id="A",
        revision=1,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.EMERGENCY,
            authority=Authority.DISTRICT,
            level=Level.RED,
            urgency=Urgency.IMMEDIATE,
            certainty=Certainty.OBSERVED,
        ),
        issued_at=NOW,
        starts_at=NOW,
        expires=NOW + timedelta(hours=1),
        content=Spoken(tone="attention", audio=None, text=()),
        approval=Approval(kind="one-person", actors=("x",)),
    )


def test_states_add_up_to_the_targets_the_unreachable_included(start: Start) -> None:
    speakers = [Endpoint(id=f"S{n}", channel=Channel.SPEAKER, zone="D", name="x") for n in range(4)]
    plan = Plan(
        alert_id="A",
        revision=1,
        deliveries=tuple(Delivery(endpoint=e, order=start) for e in speakers[:3]),
        unreachable=(Unreachable(endpoint=speakers[3], reason=Reason.DISABLED),),
    )
    live = Live()
    alert = live.begin(plan, starts={Channel.SPEAKER: start}, expires=start.expires, accepted_at=NOW)
    for key, progress in zip(alert.deliveries, (Progress.HEARD, Progress.FINISHED), strict=False):
        live.note(Receipt(key=key, progress=progress, at=NOW))
    (count,) = live_counts(live)
    states = count.channels[Channel.SPEAKER]
    assert {state: n for state, n in states.items() if n} == {State.QUEUED: 1, State.FINISHED: 2, State.FAILED: 1}
    assert sum(states.values()) == 4
    assert (count.complete, count.stops) == (False, {})
