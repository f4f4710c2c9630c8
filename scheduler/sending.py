"""What of an occurrence goes over the wire: the same for the runner, which sends it, and for the preview."""

from __future__ import annotations

import hashlib
from typing import Final

from broadcast_core.model import (
    Approval,
    Certainty,
    Domain,
    Level,
    Programme,
    ResumeRule,
    SoundClass,
    Standing,
    Start,
    Urgency,
)
from scheduler.day import Sent

ACTOR: Final = "scheduler"


def message_id(key: str) -> str:
    """The identity of an occurrence on the wire: derived from its key, so that it is the same after any restart."""
    return "o" + hashlib.sha256(key.encode()).hexdigest()[:15]


def start_of(alert_id: str, revision: int, sent: Sent) -> Start:
    """The start that a speaker gets."""
    return Start(
        alert_id=alert_id,
        revision=revision,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.PUBLICITY,
            authority=sent.slot.authority,
            level=Level.UNKNOWN,
            urgency=Urgency.UNKNOWN,
            certainty=Certainty.UNKNOWN,
        ),
        issued_at=sent.occurrence.starts_at,  # of equals the one that begins first has the turn, whenever it was sent
        starts_at=sent.occurrence.starts_at,
        expires=sent.expires,
        content=Programme(clips=sent.clips, late=sent.slot.late, grace=sent.slot.grace),
        approval=Approval(kind="schedule", actors=(ACTOR,)),
        volume=sent.volume,
        resume=ResumeRule.LIVE,  # each clip has a rule of its own
    )
