"""One occurrence in one zone, among what outranks it: which parts of which clips sound when.

Nothing is decided here. What is sent of an occurrence is given to `broadcast_core.player`, the speakers' own player,
with everything that stands above it and with the zone's emergencies; this says what came of it in the schedule's
words. `tests/scheduler/test_agreement.py` holds the whole of the preview to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import msgspec

from broadcast_core import player
from broadcast_core.clock import from_ms, to_ms
from broadcast_core.model import LateRule, Mode
from scheduler.cues import Cue, Kept, Part
from scheduler.day import Sent
from scheduler.held import Held
from scheduler.kindness import Span
from scheduler.sending import message_id, start_of

_Key = tuple[str, datetime, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What is sent of one occurrence, as the player will have it. Entries of the same `key` play the same."""

    key: _Key
    sent: Sent
    item: player.Item  # its clips are named by their place in `cues`
    cues: tuple[Cue, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    parts: tuple[Part, ...]
    kept: tuple[Kept, ...]


class Turns:
    """The player's answers for one day. Zones in which the same things meet share one."""

    def __init__(self) -> None:
        self._entries: dict[_Key, Entry] = {}
        self._known: dict[tuple[object, ...], Turn] = {}

    def entry(self, sent: Sent, cues: Sequence[Cue]) -> Entry:
        """What is sent, and its clips as scheduled; not none."""
        key = sent.occurrence.key, sent.expires, tuple(cue.index for cue in cues)
        if key not in self._entries:
            self._entries[key] = Entry(key=key, sent=sent, item=_item(sent), cues=tuple(cues))
        return self._entries[key]

    def turn(self, mine: Entry, above: Sequence[Entry], emergency: Sequence[Span]) -> Turn:
        """What of an entry sounds, among those that stand above it."""
        meeting = _meeting(mine, above)
        since = min(entry.sent.occurrence.starts_at for entry in meeting)
        until = max(entry.sent.expires for entry in meeting)
        spans = tuple((max(a, since), min(b, until)) for a, b in emergency if a < until and b > since)
        known = tuple(entry.key for entry in meeting), spans
        if known not in self._known:
            self._known[known] = _Reading(mine, meeting, _played(meeting, spans)).turn()
        return self._known[known]


def _item(sent: Sent) -> player.Item:
    item = player.item_of(start_of(message_id(sent.occurrence.key), 1, sent))
    assert isinstance(item.content, player.Programme)
    clips = tuple(msgspec.structs.replace(clip, item_id=str(n)) for n, clip in enumerate(item.content.clips))
    return msgspec.structs.replace(item, content=msgspec.structs.replace(item.content, clips=clips))


def _meeting(mine: Entry, above: Sequence[Entry]) -> list[Entry]:
    """An entry, and all that can have a say in its turn: what overlaps it, what overlaps that, and so on."""
    found, left = [mine], list(above)
    for entry in found:
        begins, ends = entry.sent.occurrence.starts_at, entry.sent.expires
        touching = [e for e in left if e.sent.occurrence.starts_at < ends and e.sent.expires > begins]
        found += touching
        left = [e for e in left if e not in touching]
    return found


def _played(meeting: Sequence[Entry], emergency: Sequence[Span]) -> player.Timeline:
    items = [entry.item for entry in meeting]
    first, last = min(item.starts_at for item in items), max(item.expires for item in items)
    lengths = {
        clip.sha256: clip.ms
        for item in items
        if isinstance(item.content, player.Programme)
        for clip in item.content.clips
    }
    events = player.in_store(items, lengths, first - 1)
    for since, until in emergency:
        events.append(player.ModeSet(to_ms(since), Mode.EMERGENCY))
        events.append(player.ModeSet(to_ms(until), Mode.PEACETIME))
    return player.timeline(events, until=last)


class _Reading:
    """One entry's part of a timeline."""

    def __init__(self, mine: Entry, meeting: Sequence[Entry], timeline: player.Timeline) -> None:
        self._mine = mine
        self._me = mine.item.identifier
        self._keys = {entry.item.identifier: entry.sent.occurrence.key for entry in meeting}
        self._stretches = timeline.stretches
        self._over = next((e.at for e in timeline.ends if e.item.identifier == self._me), mine.item.expires)
        self._cue: int | None = None  # the one that sounded last, or had its turn taken; None before the first
        self._parts: list[Part] = []
        self._kept: list[Kept] = []

    def turn(self) -> Turn:
        for stretch in self._stretches:
            if stretch.sound is not None and stretch.sound.identifier == self._me:
                self._sound(stretch, stretch.sound)
            else:
                self._hold(stretch)
        self._lose(None)
        if not self._parts:
            self._never()
        return Turn(parts=tuple(self._parts), kept=tuple(self._kept))

    def _sound(self, stretch: player.Stretch, sound: player.SoundBegan) -> None:
        index, cut = int(sound.item_id), stretch.why == "interrupted"
        part = Part(
            cue=self._mine.cues[index],
            starts_at=from_ms(stretch.began),
            ends_at=from_ms(stretch.ended),
            position=timedelta(milliseconds=sound.position_ms),
            cut=cut,
        )
        self._lose(part)
        self._parts.append(part)
        self._cue = index if cut else min(index + 1, len(self._mine.cues) - 1)

    def _hold(self, stretch: player.Stretch) -> None:
        """Note that it was due and waited."""
        other = next((other for other in stretch.others if other.identifier == self._me), None)
        if other is None or other.why is player.Why.GAP:
            return
        since, until = max(stretch.began, self._mine.item.starts_at), min(stretch.ended, self._over)
        if since >= until:
            return
        kept = Kept(
            cue=None if self._cue is None else self._mine.cues[self._cue],
            starts_at=from_ms(since),
            ends_at=from_ms(until),
            held=Held.EMERGENCY_MODE if other.why is player.Why.MODE else Held.OUTRANKED,
            by=self._keys.get(other.than),
        )
        last = self._kept[-1] if self._kept else None
        if last is not None and last.ends_at == kept.starts_at and _alike(last, kept):
            self._kept[-1] = replace(last, ends_at=kept.ends_at)
        else:
            self._kept.append(kept)

    def _lose(self, following: Part | None) -> None:
        """Note the rest of a cue that was cut and did not go on, from when it could have."""
        last = self._parts[-1] if self._parts else None
        if last is None or not last.cut or (following is not None and following.cue is last.cue):
            return
        back = self._kept[-1].ends_at if self._kept else last.ends_at
        whole = last.cue.ends_at - last.cue.starts_at
        ends = min(last.starts_at + whole - last.position, self._mine.sent.expires)
        if following is not None:
            ends = min(ends, following.starts_at)
        if back < ends:
            self._kept.append(Kept(cue=last.cue, starts_at=back, ends_at=ends, held=Held.INTERRUPTED))

    def _never(self) -> None:
        """Nothing of it sounds: it is held as long as it would have, and was perhaps too late in the end."""
        ends = min(self._mine.cues[-1].ends_at, self._mine.sent.expires)
        self._kept = [replace(kept, ends_at=min(kept.ends_at, ends)) for kept in self._kept if kept.starts_at < ends]
        over = from_ms(self._over)
        if over < ends and self._mine.sent.slot.late is LateRule.SKIP:
            self._kept.append(Kept(cue=None, starts_at=over, ends_at=ends, held=Held.LATE))


def _alike(one: Kept, other: Kept) -> bool:
    return (one.cue, one.held, one.by) == (other.cue, other.held, other.by)
