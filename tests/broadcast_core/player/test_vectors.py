"""The test vectors that vendors get: what happens goes in, what must be heard and reported comes out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from broadcast_core.clock import from_ms
from broadcast_core.model import (
    Authority,
    Certainty,
    LateRule,
    Level,
    Mode,
    Reason,
    ResumeRule,
    SoundClass,
    Standing,
    Urgency,
)
from broadcast_core.player import (
    Announcement,
    Arrived,
    Clip,
    ClockSet,
    Ended,
    Event,
    Item,
    ModeSet,
    Programme,
    Restarted,
    Sound,
    Stopped,
    Stretch,
    Supplied,
    timeline,
)

FOLDER = Path(__file__).parents[2] / "golden/player"
VECTORS = sorted(path.stem for path in FOLDER.glob("*.json"))


@pytest.mark.parametrize("name", VECTORS)
def test_what_is_heard_and_reported_is_what_the_vector_says(name: str) -> None:
    vector = json.loads((FOLDER / f"{name}.json").read_text())
    events: list[Event] = [Supplied(-1, sha, sound_of(sha, what)) for sha, what in vector["store"].items() if what]
    events += [event_of(*words) for words in vector["events"]]
    result = timeline(arrivals_first(events), until=vector["until"])
    assert [said(stretch) for stretch in result.stretches if stretch.sound is not None] == vector["sounds"]
    assert [ended(end) for end in result.ends] == vector["ends"]


def test_there_are_vectors_for_every_rule() -> None:
    text = " ".join((FOLDER / f"{name}.json").read_text() for name in VECTORS)
    for word in (*ResumeRule, *LateRule, *Mode, "restart", "clock", "stop", "audio"):
        assert f'"{word}"' in text, word


def arrivals_first(events: list[Event]) -> list[Event]:
    """What is in the store is there as soon as an item asks for it."""
    store = [event for event in events if isinstance(event, Supplied) and event.at < 0]
    told: list[Event] = []
    for event in events:
        if event in store:
            continue
        told.append(event)
        if isinstance(event, Arrived):
            told += [Supplied(event.at, each.sha256, each.audio) for each in store]
    return told


def sound_of(sha: str, what: int | str) -> Sound | Reason:
    return Sound(sha, what) if isinstance(what, int) else Reason(what)


def event_of(at: int, what: str, *words: Any) -> Event:
    match what:
        case "arrive":
            return Arrived(at, item_of(at, words[0]))
        case "stop":
            return Stopped(at, *words)
        case "mode":
            return ModeSet(at, Mode(words[0]), words[1])
        case "audio":
            return Supplied(at, words[0], sound_of(*words))
        case "clock":
            return ClockSet(at, *words)
        case "restart":
            return Restarted(at, *words)
    raise ValueError(what)


def item_of(at: int, words: dict[str, Any]) -> Item:
    content: Announcement | Programme
    if "clips" in words:
        clips = tuple(
            Clip(item_id=item, sha256=item, ms=ms, offset_ms=offset, resume=ResumeRule(rule))
            for item, offset, ms, rule in words["clips"]
        )
        content = Programme(clips=clips, late=LateRule(words["late"]), grace_ms=words["grace_ms"])
    else:
        content = Announcement(words["tone"], words["audio"])
    return Item(
        identifier=words["id"],
        revision=words["rev"],
        standing=Standing(
            sound_class=SoundClass[words["class"].upper().replace("-", "_")],
            authority=Authority.DISTRICT,
            level=Level(words.get("level", 0)),
            urgency=Urgency.IMMEDIATE,
            certainty=Certainty.OBSERVED,
        ),
        issued_at=from_ms(words.get("issued_at", at)),
        starts_at=words["start_at"],
        expires=words["expires"],
        content=content,
        volume=words.get("volume", 255),
        resume=ResumeRule(words.get("resume", "start")),
        silent=words.get("silent", False),
    )


def said(stretch: Stretch) -> str:
    sound = stretch.sound
    assert sound is not None
    what = "tone" if sound.what == "tone" else sound.sha256
    return (
        f"{stretch.began}-{stretch.ended} {sound.identifier}/{sound.revision} "
        f"{what}@{sound.position_ms} v{sound.volume} {stretch.why}"
    )


def ended(end: Ended) -> str:
    progress = end.progress.name.lower() + ("" if end.reason is None else f"/{end.reason}")
    plays = [f"{p.item_id}:{p.times}:{p.ms}" + ("" if p.reason is None else f":{p.reason}") for p in end.plays]
    return " ".join([f"{end.at} {end.item.identifier}/{end.item.revision} {progress} {end.played_ms}", *plays])
