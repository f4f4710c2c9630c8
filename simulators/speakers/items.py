"""A start as it stands on the wire, as the player's item."""

from __future__ import annotations

from datetime import datetime

from broadcast_core.model import LateRule, ResumeRule, Standing
from broadcast_core.player import Announcement, Clip, Item, Programme
from drivers.ip_speaker.wire.command import Audio, SpokenContent, StartCommand


def item_of(start: StartCommand, standing: Standing, issued_at: datetime) -> Item:
    """The player's item. `standing` and `issued_at` are read from the start by the guard."""
    return Item(
        identifier=start.alert,
        revision=start.rev,
        standing=standing,
        issued_at=issued_at,
        starts_at=start.start_at,
        expires=start.exp,
        content=_content_of(start.content),
        volume=start.volume,
        resume=ResumeRule(start.resume),
        silent=start.silent,
    )


def needed(start: StartCommand) -> list[tuple[Audio, int | None]]:
    """The audio it needs, each once, and at which UTC ms a programme does."""
    content = start.content
    if content.audio is not None:
        return [(content.audio, None)]
    places: dict[str, tuple[Audio, int | None]] = {}
    for clip in content.programme:
        places.setdefault(clip.audio.sha256, (clip.audio, start.start_at + clip.at_ms))
    return list(places.values())


def _content_of(content: SpokenContent) -> Announcement | Programme:
    if not content.programme:
        return Announcement(content.tone, None if content.audio is None else content.audio.sha256)
    clips = tuple(
        Clip(
            item_id=clip.item,
            sha256=clip.audio.sha256,
            ms=clip.audio.ms,
            offset_ms=clip.at_ms,
            resume=ResumeRule(clip.resume),
        )
        for clip in content.programme
    )
    return Programme(clips=clips, late=LateRule(content.late), grace_ms=content.grace_ms)
