"""From an alert and its wishes to what each channel is told: words, voice, texts, siren."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from broadcast_core.config import Settings
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.intake.wishes import Wishes
from broadcast_core.model import (
    Alert,
    Approval,
    Channel,
    Content,
    Domain,
    Level,
    ResumeRule,
    Sounded,
    Spoken,
    Standing,
    Start,
    Texted,
)
from broadcast_core.render import Words, render
from drivers.sms_gateway.wire import parts_of

Speak = Callable[[Sequence[Words], Level, str | None], Awaitable[Spoken]]  # words, level, SHA-256 of a clip

_MAX_ON_SLACK: Final = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Composed:
    """What will be said, before it is decided under which identity."""

    contents: Mapping[Channel, Content]
    standing: Standing
    volume: int
    notes: tuple[Sentence, ...]


async def compose(alert: Alert, wishes: Wishes, standing: Standing, *, settings: Settings, speak: Speak) -> Composed:
    """Render the words, and have them spoken. Raises AlertRejected for a text no phone would get whole."""
    words = render(alert, level=standing.level)
    contents: dict[Channel, Content] = {}
    notes: list[Sentence] = []
    if Channel.SPEAKER in wishes.channels:
        spoken = await speak(words, standing.level, wishes.clip)
        contents[Channel.SPEAKER] = spoken
        if spoken.audio is None:
            notes.append(_("Speech failed, tone and text go out alone: {why}", why=spoken.note))
    if Channel.SMS in wishes.channels:
        contents[Channel.SMS] = _texts(words, settings.sms.max_parts)
    if wishes.pattern is not None:
        longest = max(on for on, _off in wishes.pattern.steps) + _MAX_ON_SLACK
        max_on = min(longest, timedelta(seconds=settings.serial.max_on_s))
        contents[Channel.HORN] = Sounded(pattern=wishes.pattern, max_on=max_on)
    return Composed(contents=contents, standing=standing, volume=wishes.volume, notes=tuple(notes))


def starts_of(
    composed: Composed,
    *,
    alert_id: str,
    revision: int,
    domain: Domain,
    now: datetime,
    starts_at: datetime,
    expires: datetime,
    approval: Approval,
) -> dict[Channel, Start]:
    """The orders of all channels, under the identity the lifecycle has given."""
    return {
        channel: Start(
            alert_id=alert_id,
            revision=revision,
            domain=domain,
            standing=composed.standing,
            issued_at=now,
            starts_at=starts_at,
            expires=expires,
            content=content,
            approval=approval,
            volume=composed.volume,
            resume=ResumeRule.START,
        )
        for channel, content in composed.contents.items()
    }


def _texts(words: Sequence[Words], max_parts: int) -> Texted:
    for said in words:
        parts = parts_of(said.sms)
        if parts.count > max_parts:
            raise AlertRejected(
                RejectReason.TOO_LARGE,
                _("The message in {language} needs {count} SMS parts, {most} are allowed: shorten headline or "
                  "instruction. Nothing is cut.", language=said.language, count=parts.count, most=max_parts),
                "info.headline",
            )  # fmt: skip
    return Texted(text=tuple((said.language, said.sms) for said in words))
