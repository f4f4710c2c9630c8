"""From an occurrence to clips with offsets: the same on every machine, whenever it is computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from random import Random
from typing import Final

from broadcast_core.model import MOST_CLIPS, Clip
from scheduler.held import Held
from scheduler.model import Fill, Item, ItemKind, Occurrence, Overrun, Playlist, PlayOrder, Schedule, Slot

_ZERO: Final = timedelta()
SHORTEST: Final = timedelta(seconds=1)  # an item shorter than this is never repeated: it would be thousands


@dataclass(frozen=True, kw_only=True, slots=True)
class Laid:
    """One clip at its place. `ends` is where it ends or, with `Overrun.CUT`, is cut."""

    clip: Clip
    ends: timedelta  # from the occurrence's start
    kind: ItemKind
    loudness_lufs: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """An item of the playlist that does not sound in this occurrence, and why."""

    item_id: str
    held: Held


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The clips of one occurrence by offset, never overlapping, and what was left out. No clips: nothing sounds."""

    clips: tuple[Laid, ...]
    left_out: tuple[LeftOut, ...] = ()


def lay_out(occurrence: Occurrence, slot: Slot, schedule: Schedule) -> Layout:
    """The clips of an occurrence. Unknown items and playlists are none: `checks` refuses them before."""
    playlist = schedule.playlists.get(slot.playlist)
    listed = [schedule.items[id_] for id_ in playlist.items if id_ in schedule.items] if playlist else []
    fresh = [item for item in listed if not expired(item, occurrence.date)]
    left_out = [LeftOut(item_id=i.id, held=Held.ITEM_EXPIRED) for i in listed if expired(i, occurrence.date)]
    if playlist is None or not fresh:
        return Layout(clips=(), left_out=tuple(left_out))
    order = _ordered(fresh, playlist, f"{slot.id}/{occurrence.key}")
    rounds = _rounds(order, playlist, slot, f"{slot.id}/{occurrence.key}")
    chime = schedule.items.get(playlist.chime) if playlist.chime else None
    if chime is not None and expired(chime, occurrence.date):
        left_out.append(LeftOut(item_id=chime.id, held=Held.ITEM_EXPIRED))
        chime = None
    clips, over = _place(chime, rounds, playlist.gap, slot)
    if all(laid.kind is ItemKind.CHIME for laid in clips):  # it would announce nothing
        clips = []
    return Layout(clips=tuple(clips), left_out=(*left_out, *over))


def expired(item: Item, when: date) -> bool:
    """Whether an item may no longer play on a local date."""
    return item.expires_on is not None and when > item.expires_on


def total(items: Sequence[Item], gap: timedelta) -> timedelta:
    """How long these items take, one after another, with gaps between them."""
    return sum((item.audio.duration for item in items), _ZERO) + gap * max(0, len(items) - 1)


def _rounds(first: list[Item], playlist: Playlist, slot: Slot, seed: str) -> Iterator[tuple[Item, bool]]:
    """Items in the order they are tried, and whether it is the first round."""
    yield from ((item, True) for item in first)
    lasting = [item for item in first if item.audio.duration >= SHORTEST]
    if slot.fill is not Fill.REPEAT or not lasting:
        return
    before = first[-1]
    for n in count(1):
        order = _ordered(lasting, playlist, f"{seed}#{n}")
        if playlist.order is PlayOrder.SHUFFLED and len(order) > 1 and order[0].id == before.id:
            order.append(order.pop(0))  # no repeat where two rounds meet
        yield from ((item, False) for item in order)
        before = order[-1]


def _ordered(items: list[Item], playlist: Playlist, seed: str) -> list[Item]:
    order = list(items)
    if playlist.order is PlayOrder.SHUFFLED:
        number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
        Random(number).shuffle(order)  # noqa: S311
    return order


def _place(
    chime: Item | None, items: Iterator[tuple[Item, bool]], gap: timedelta, slot: Slot
) -> tuple[list[Laid], list[LeftOut]]:
    clips: list[Laid] = []
    over: list[LeftOut] = []
    if chime is not None:
        if chime.audio.duration >= slot.length:
            return [], [LeftOut(item_id=chime.id, held=Held.TOO_LONG)]
        clips.append(_laid(chime, _ZERO, chime.audio.duration, ItemKind.CHIME))
    for item, first_round in items:
        offset = clips[-1].ends + gap if clips else _ZERO
        ends = offset + item.audio.duration
        room = slot.length - offset
        if len(clips) >= MOST_CLIPS:
            over.append(LeftOut(item_id=item.id, held=Held.TOO_MANY))
            if not first_round:
                break
        elif ends <= slot.length:
            clips.append(_laid(item, offset, ends, item.kind))
        elif not first_round:
            break
        elif slot.overrun is Overrun.CUT and room >= SHORTEST:
            clips.append(_laid(item, offset, slot.length, item.kind))
        else:
            over.append(LeftOut(item_id=item.id, held=Held.TOO_LONG))
    return clips, over


def _laid(item: Item, offset: timedelta, ends: timedelta, kind: ItemKind) -> Laid:
    clip = Clip(item_id=item.id, audio=item.audio, offset=offset, resume=item.resume)
    return Laid(clip=clip, ends=ends, kind=kind, loudness_lufs=item.loudness_lufs)
