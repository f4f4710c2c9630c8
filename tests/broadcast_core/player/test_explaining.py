"""Why something does not sound, over time; and the core's own starts as the player takes them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from broadcast_core import model
from broadcast_core.clock import from_ms
from broadcast_core.model import (
    Approval,
    AudioRef,
    Authority,
    Certainty,
    Domain,
    LateRule,
    Level,
    Mode,
    ResumeRule,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Texted,
    Urgency,
)
from broadcast_core.player import ModeSet, NotForSpeakers, in_store, item_of, timeline

SECOND = 1000
STANDING = Standing(
    sound_class=SoundClass.PUBLICITY,
    authority=Authority.DISTRICT,
    level=Level.UNKNOWN,
    urgency=Urgency.UNKNOWN,
    certainty=Certainty.UNKNOWN,
)


def audio(name: str, seconds: int) -> AudioRef:
    return AudioRef(sha256=name, url="", mime_type="audio/mpeg", size=1, duration=timedelta(seconds=seconds))


def start(name: str, at: int, content: Any, **words: Any) -> Start:
    return Start(
        alert_id=name,
        revision=1,
        domain=Domain.LIVE,
        standing=words.get("standing", STANDING),
        issued_at=from_ms(at),
        starts_at=from_ms(at * SECOND),
        expires=from_ms(600 * SECOND),
        content=content,
        approval=Approval(kind="one-person", actors=("editor",)),
        volume=50,
        silent=words.get("silent", False),
    )


def programme(*clips: tuple[str, int, int]) -> model.Programme:
    return model.Programme(
        clips=tuple(
            model.Clip(item_id=n, audio=audio(n, s), offset=timedelta(seconds=o), resume=ResumeRule.LIVE)
            for n, o, s in clips
        ),
        late=LateRule.JOIN,
        grace=timedelta(0),
    )


def test_for_each_stretch_it_says_who_was_silent_and_why() -> None:
    emergency = replace(STANDING, sound_class=SoundClass.EMERGENCY)
    items = [
        item_of(start("morning", 0, programme(("news", 0, 60), ("song", 80, 40)))),
        item_of(start("county", 10, programme(("speech", 0, 30)))),
        item_of(start("warning", 20, Spoken(tone="attention", audio=None, text=()), standing=emergency)),
        item_of(start("proof", 5, Spoken(tone="attention", audio=None, text=()), silent=True)),
    ]
    events = in_store(items, {"news": 60_000, "song": 40_000, "speech": 30_000}, at=0)
    events += [ModeSet(90_000, Mode.EMERGENCY), ModeSet(110_000, Mode.PEACETIME)]
    told = [
        (
            stretch.began // SECOND,
            stretch.ended // SECOND,
            stretch.sound and stretch.sound.identifier,
            [(o.identifier, o.why.value, o.than) for o in stretch.others],
        )
        for stretch in timeline(events, until=200_000).stretches
    ]
    assert told == [
        (0, 20, "morning", [("county", "equal", "morning")]),
        (20, 22, "warning", [("county", "lower", "warning"), ("morning", "lower", "warning")]),
        (22, 60, "morning", [("county", "equal", "morning")]),
        (60, 80, None, [("county", "equal", "morning"), ("morning", "gap", "")]),
        (80, 90, "morning", [("county", "equal", "morning")]),
        (90, 110, None, [("county", "mode", ""), ("morning", "mode", "")]),
        (110, 120, "morning", [("county", "equal", "morning")]),
    ]


def test_a_message_for_phones_is_not_for_speakers() -> None:
    with pytest.raises(NotForSpeakers):
        item_of(start("text", 0, Texted(text=(("zh", "短信"),))))
