"""What a test is told to an endpoint: one message for some silent ones, one each for audible ones. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.audio.tone import END
from broadcast_core.config import SelfTests
from broadcast_core.i18n import LANGUAGES, _
from broadcast_core.intake.direct import Message
from broadcast_core.model import (
    SPEAKER_PARTS,
    Approval,
    AudioRef,
    Authority,
    Certainty,
    Channel,
    Domain,
    Endpoint,
    Level,
    MessageKind,
    Opening,
    Part,
    ResumeRule,
    SelfTest,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Urgency,
)
from broadcast_core.selftest.rows import Row

BOARD_PARTS: Final = (Part.COILS, Part.TIMER)
_AUDIBLE_LIFETIME: Final = timedelta(seconds=60)
_WORDS: Final = _("Test. This is a test of the loudspeaker, not a real alert.")


def message_id(rows: Iterable[Row]) -> str:
    """The identity on the wire: derived, so that the same tests are never two messages."""
    key = "\n".join(sorted(f"{row.occasion}/{row.endpoint_id}" for row in rows))
    return "t" + hashlib.sha256(key.encode()).hexdigest()[:15]


def silent(
    rows: Sequence[Row], endpoints: Sequence[Endpoint], file: AudioRef, settings: SelfTests, now: datetime
) -> Message:
    """One message to some endpoints; each is told alone."""
    alert_id = message_id(rows)
    expires = now + timedelta(seconds=settings.answer_within_s)

    def order(parts: tuple[Part, ...], audio: AudioRef | None) -> SelfTest:
        return SelfTest(
            alert_id=alert_id,
            revision=1,
            domain=Domain.LIVE,
            issued_at=now,
            expires=expires,
            parts=parts,
            audio=audio,
            clock_limit=timedelta(seconds=settings.clock_limit_s),
        )

    starts: dict[Channel, Opening] = {}
    if any(e.channel is Channel.SPEAKER for e in endpoints):
        starts[Channel.SPEAKER] = order(SPEAKER_PARTS, file)
    if any(e.channel is Channel.HORN for e in endpoints):
        starts[Channel.HORN] = order(BOARD_PARTS, None)
    return Message(
        kind=MessageKind.TEST,
        alert_id=alert_id,
        revision=1,
        starts=starts,
        targets=endpoints,
        expires=expires,
        actor=rows[0].actor,
        title=rows[0].occasion,
        detail={"occasion": rows[0].occasion},
        alone=True,
    )


def audible(row: Row, endpoint: Endpoint, volume: int, now: datetime) -> Message:
    """One loudspeaker's message: the end chime, which is no attention tone, and words for a display."""
    alert_id = message_id([row])
    start = Start(
        alert_id=alert_id,
        revision=1,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.TEST,
            authority=Authority.SUBDISTRICT,
            level=Level.TEST,
            urgency=Urgency.UNKNOWN,
            certainty=Certainty.UNKNOWN,
        ),
        issued_at=now,
        starts_at=now,
        expires=now + _AUDIBLE_LIFETIME,
        content=Spoken(tone=END, audio=None, text=tuple((code, _WORDS.say(code)) for code in LANGUAGES)),
        approval=Approval(kind="test", actors=(row.actor,)),
        volume=volume,
        resume=ResumeRule.SKIP,
    )
    return Message(
        kind=MessageKind.TEST,
        alert_id=alert_id,
        revision=1,
        starts={Channel.SPEAKER: start},
        targets=[endpoint],
        expires=start.expires,
        actor=row.actor,
        title=row.occasion,
        detail={"occasion": row.occasion, "endpoint": endpoint.id, "volume": volume},
        alone=True,
    )
