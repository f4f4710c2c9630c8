"""What is wrong with a schedule, before anything is saved: what is refused, and what a person is warned of.

Refusals are about a slot and what it names; warnings come from playing the coming days through (`what_plays`), so
they say the same as what will happen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import Sentence, _
from scheduler import held
from scheduler.day import Because, Circumstances, HeldSegment
from scheduler.layout import expired, total
from scheduler.model import CalendarDays, Item, Overrun, Playlist, Schedule, Slot
from scheduler.recurrence import HORIZON, LONGEST, next_date, refusal
from scheduler.what_plays import day_of

IDENTIFIER: Final = _("An identifier has 1 to 64 letters, digits, dots, dashes and underscores.")
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_LOUDEST: Final = 100
_ZERO: Final = timedelta()
AHEAD: Final = 8  # days that warnings look ahead: each weekday, and one for what reaches over midnight


class FindingKind(StrEnum):
    """What a finding is about. Closed: the API's and the command line's word for it."""

    IDENTIFIER = "identifier"
    NO_ZONE = "no_zone"
    UNKNOWN_ZONE = "unknown_zone"
    UNKNOWN_PLAYLIST = "unknown_playlist"
    UNKNOWN_ITEM = "unknown_item"
    PLAYLIST_EMPTY = "playlist_empty"
    TOO_LONG = "too_long"
    LENGTH = "length"
    VOLUME = "volume"
    RECURRENCE = "recurrence"
    ITEM_EXPIRES = "item_expires"
    OVERLAP = "overlap"
    HELD = "held"
    CALENDAR = "calendar"


_REASONS: Final = {
    FindingKind.NO_ZONE: RejectReason.NO_AREA,
    FindingKind.UNKNOWN_ZONE: RejectReason.UNKNOWN_AREA,
    FindingKind.UNKNOWN_PLAYLIST: RejectReason.NOT_FOUND,
    FindingKind.UNKNOWN_ITEM: RejectReason.NOT_FOUND,
    FindingKind.PLAYLIST_EMPTY: RejectReason.MISSING,
    FindingKind.TOO_LONG: RejectReason.TOO_LARGE,
    FindingKind.ITEM_EXPIRES: RejectReason.EXPIRED,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing to know about a schedule. `refused`: it is not saved; else it is a warning."""

    problem: FindingKind
    refused: bool
    slot_id: str | None
    field: str  # path into the schedule: slots.morning.zones
    sentence: Sentence


def check(circumstances: Circumstances, since: date) -> tuple[Finding, ...]:
    """Everything to say about the schedule from a local date on: refusals first.

    What is refused is not played through, so warnings are about what is left.
    """
    schedule = circumstances.schedule
    refused = [f for slot in schedule.slots.values() for f in check_slot(slot, circumstances, since)]
    if any(finding.refused for finding in refused):
        return tuple(sorted(refused, key=lambda finding: not finding.refused))
    return (*refused, *_warnings(circumstances, since))


def is_identifier(text: str) -> bool:
    """Whether a slot or a playlist may be called that: it stands in paths and in iCalendar files."""
    return _ID.fullmatch(text) is not None


def refuse(findings: Iterable[Finding]) -> None:
    """Raise `Rejected` for the first refusal, if there is one."""
    for finding in findings:
        if finding.refused:
            reason = _REASONS.get(finding.problem, RejectReason.INVALID_VALUE)
            raise Rejected(reason, finding.sentence, finding.field)


def check_slot(slot: Slot, circumstances: Circumstances, since: date) -> tuple[Finding, ...]:
    """What is wrong with one slot by itself: its form, what it names, when it happens, whether its playlist fits."""
    found = [*_form(slot), *_zones(slot, circumstances)]
    wrong = refusal(slot, since, circumstances.calendar)
    if wrong:
        found.append(_refused(FindingKind.RECURRENCE, slot, wrong.field, wrong.sentence))
    found.extend(_content(slot, circumstances, since, happens=wrong is None))
    return tuple(found)


def _refused(problem: FindingKind, slot: Slot, field: str, sentence: Sentence) -> Finding:
    return Finding(
        problem=problem, refused=True, slot_id=slot.id, field=f"slots.{slot.id}.{field}", sentence=sentence
    )


def _warning(problem: FindingKind, slot: Slot, field: str, sentence: Sentence) -> Finding:
    return Finding(
        problem=problem, refused=False, slot_id=slot.id, field=f"slots.{slot.id}.{field}", sentence=sentence
    )


def _form(slot: Slot) -> Iterator[Finding]:
    if not is_identifier(slot.id):
        yield _refused(FindingKind.IDENTIFIER, slot, "id", IDENTIFIER)
    if not 1 <= slot.volume <= _LOUDEST:
        yield _refused(FindingKind.VOLUME, slot, "volume", _("The volume is from 1 to 100."))
    if not _ZERO < slot.length <= LONGEST:
        yield _refused(
            FindingKind.LENGTH, slot, "length", _("A slot lasts longer than nothing and at most 24 hours.")
        )
    elif not _ZERO <= slot.grace <= slot.length:
        yield _refused(FindingKind.LENGTH, slot, "grace", _("The grace time is from nothing to the slot's length."))


def _zones(slot: Slot, circumstances: Circumstances) -> Iterator[Finding]:
    if not slot.zones:
        yield _refused(FindingKind.NO_ZONE, slot, "zones", _("The slot names no zone, so it would play nowhere."))
    unknown = [zone for zone in slot.zones if zone not in circumstances.zones]
    if unknown:
        yield _refused(
            FindingKind.UNKNOWN_ZONE, slot, "zones", _("There is no zone {zones}.", zones=", ".join(unknown[:10]))
        )


def _content(slot: Slot, circumstances: Circumstances, since: date, *, happens: bool) -> Iterator[Finding]:
    schedule = circumstances.schedule
    playlist = schedule.playlists.get(slot.playlist)
    if playlist is None:
        sentence = _("There is no playlist {playlist}.", playlist=slot.playlist)
        yield _refused(FindingKind.UNKNOWN_PLAYLIST, slot, "playlist", sentence)
        return
    named = (*playlist.items, *([playlist.chime] if playlist.chime else []))
    unknown = [id_ for id_ in named if id_ not in schedule.items]
    if unknown:
        sentence = _("The playlist has items that do not exist: {items}.", items=", ".join(unknown[:10]))
        yield _refused(FindingKind.UNKNOWN_ITEM, slot, "playlist", sentence)
        return
    if not playlist.items:
        sentence = _("The playlist “{playlist}” is empty.", playlist=playlist.name)
        yield _refused(FindingKind.PLAYLIST_EMPTY, slot, "playlist", sentence)
        return
    if playlist.gap < _ZERO or playlist.gap > LONGEST:
        yield _refused(FindingKind.LENGTH, slot, "playlist", _("A gap lasts from nothing to 24 hours."))
        return
    if happens:
        yield from _ages(slot, playlist, circumstances, since)
    yield from _fits(slot, playlist, schedule)


def _ages(slot: Slot, playlist: Playlist, circumstances: Circumstances, since: date) -> Iterator[Finding]:
    """Items that expire before the slot happens next."""
    first = next_date(slot.recurrence, since, circumstances.calendar)
    assert first is not None  # the recurrence was checked
    items = circumstances.schedule.items
    gone = [items[id_] for id_ in dict.fromkeys(playlist.items) if expired(items[id_], first)]
    if len(gone) == len(set(playlist.items)):
        sentence = _(
            "Every item of “{playlist}” has expired by {date}, when it would play.",
            playlist=playlist.name,
            date=first,
        )
        yield _refused(FindingKind.ITEM_EXPIRES, slot, "playlist", sentence)
        return
    for item in gone:
        sentence = _("“{item}” expires before it plays: on {date}.", item=item.title, date=item.expires_on)
        yield _warning(FindingKind.ITEM_EXPIRES, slot, "playlist", sentence)


def _fits(slot: Slot, playlist: Playlist, schedule: Schedule) -> Iterator[Finding]:
    chime: list[Item] = [schedule.items[playlist.chime]] if playlist.chime else []
    needed = total([*chime, *(schedule.items[id_] for id_ in playlist.items)], playlist.gap)
    if needed <= slot.length:
        return
    values = {"playlist": playlist.name, "needed": needed, "length": slot.length}
    if slot.overrun is Overrun.REFUSE:
        sentence = _("“{playlist}” takes {needed}, longer than the slot's {length}.", **values)
        yield _refused(FindingKind.TOO_LONG, slot, "length", sentence)
    else:
        sentence = _("“{playlist}” takes {needed} and is cut after {length}.", **values)
        yield _warning(FindingKind.TOO_LONG, slot, "length", sentence)


def _warnings(circumstances: Circumstances, since: date) -> Iterator[Finding]:
    """What the coming days show: overlaps and what is held, each once for a slot and reason."""
    schedule = circumstances.schedule
    dates = _dates_to_look_at(circumstances, since)
    overlaps: dict[tuple[str, str], Finding] = {}
    holds: dict[tuple[str, held.Held], Finding] = {}
    for when in dates:
        for group in day_of(circumstances, when):
            slot_of = {sent.occurrence.key: sent.slot for sent in group.day.sent}
            for conflict in group.day.conflicts:
                winner, loser = slot_of.get(conflict.winner), slot_of.get(conflict.loser)
                if winner and loser:
                    overlaps.setdefault((winner.id, loser.id), _overlap(winner, loser, when, conflict.because))
            for piece in group.day.held:
                if _expected(piece):
                    continue
                finding = _held(schedule.slots[piece.slot_id], piece, when, group.zones)
                holds.setdefault((piece.slot_id, piece.held), finding)
    yield from overlaps.values()
    yield from holds.values()
    yield from _calendar_notes(circumstances, since)


def _expected(piece: HeldSegment) -> bool:
    """What another finding says already, or what passes with the emergency."""
    return piece.held in {
        held.Held.OUTRANKED,
        held.Held.EMERGENCY_MODE,
        held.Held.INTERRUPTED,
        held.Held.ITEM_EXPIRED,
    }


def _dates_to_look_at(circumstances: Circumstances, since: date) -> list[date]:
    """The coming days, and the next date of each slot that has none among them."""
    near = {since + timedelta(days=n) for n in range(AHEAD)}
    slots = (slot for slot in circumstances.schedule.slots.values() if slot.enabled)
    nexts = (next_date(slot.recurrence, since, circumstances.calendar) for slot in slots)
    return sorted(near | {when for when in nexts if when is not None and when < since + HORIZON})


def _overlap(winner: Slot, loser: Slot, when: date, because: Because) -> Finding:
    values = {"winner": winner.name, "loser": loser.name, "date": when}
    match because:
        case Because.AUTHORITY:
            sentence = _("“{winner}” interrupts “{loser}” on {date}: its authority is higher.", **values)
        case Because.BEGAN_FIRST:
            sentence = _("“{loser}” waits for “{winner}” on {date}, which begins first.", **values)
        case Because.IDENTIFIER:
            sentence = _("“{loser}” waits for “{winner}” on {date}: both begin together.", **values)
    return _warning(FindingKind.OVERLAP, loser, "start", sentence)


def _held(slot: Slot, piece: HeldSegment, when: date, zones: tuple[str, ...]) -> Finding:
    sentence = _(
        "Something of “{slot}” does not sound on {date} in {zones}: {why}",
        slot=slot.name,
        date=when,
        zones=zones[0]
        if len(zones) == 1
        else _("{zone} and {count} other zones", zone=zones[0], count=len(zones) - 1),
        why=held.sentence(piece.held),
    )
    return _warning(FindingKind.HELD, slot, "start", sentence)


def _calendar_notes(circumstances: Circumstances, since: date) -> Iterator[Finding]:
    for slot in circumstances.schedule.slots.values():
        if slot.enabled and isinstance(slot.recurrence.rule, CalendarDays):
            last = min(slot.recurrence.last or date.max, since + timedelta(days=366))
            for note in circumstances.calendar.notes(since, max(since, last)):
                yield _warning(FindingKind.CALENDAR, slot, "recurrence", note)
