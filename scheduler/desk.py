"""The publicity staff's desk: what is saved is checked first, durable, audited, and at once in force.

Nothing that touches a zone in emergency mode can be changed: the schedule is locked there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.aside import aside
from broadcast_core.clock import Clock
from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.mode import Modes
from broadcast_core.model import Mode
from broadcast_core.registry import Registry
from broadcast_core.store import Store
from scheduler import rows
from scheduler.calendar import Calendar, CalendarEdit
from scheduler.checks import IDENTIFIER, Finding, check, is_identifier, refuse
from scheduler.day import Circumstances, ModeSpan, ZoneDay
from scheduler.kindness import DEFAULT, Kindness, Rules, ZoneKindness
from scheduler.local_time import local_date
from scheduler.model import Item, Playlist, Schedule, Slot
from scheduler.recurrence import HORIZON
from scheduler.what_plays import what_plays

_MOST_SLOTS: Final = 500
K = TypeVar("K")
V = TypeVar("V")
Change = Callable[[AsyncConnection, rows.By], Awaitable[None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """What was saved, and what a person should know about it."""

    warnings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class SavedSlots:
    """Which slots of several were saved (by id), and what there is to know, refusals first."""

    saved: tuple[str, ...]
    findings: tuple[Finding, ...]


class ScheduleDesk:
    """The schedule in memory, and the acts on it, one at a time.

    `items` gives the media library's items; `changed` is told after every act.
    """

    def __init__(
        self,
        stored: rows.Stored,
        *,
        store: Store,
        registry: Callable[[], Registry],
        modes: Callable[[], Modes],
        items: Callable[[], Awaitable[Mapping[str, Item]]],
        changed: Callable[[], None],
        tz: ZoneInfo,
        reference_lufs: float,
        clock: Clock,
    ) -> None:
        self._slots = dict(stored.slots)
        self._playlists = dict(stored.playlists)
        self._kindness = dict(stored.kindness)
        self._edits = dict(stored.edits)
        self._store = store
        self._registry = registry
        self._modes = modes
        self._ask_items = items
        self._items: Mapping[str, Item] = {}  # as of the last look into the library
        self._changed = changed
        self._tz = tz
        self._reference_lufs = reference_lufs
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()

    @property
    def now(self) -> datetime:
        return self._clock.now()

    @property
    def timezone(self) -> ZoneInfo:
        """Whose local dates and times of day the schedule is in."""
        return self._tz

    @property
    def today(self) -> date:
        """The local date now."""
        return local_date(self._clock.now(), self._tz)

    @property
    def schedule(self) -> Schedule:
        return Schedule(slots=dict(self._slots), playlists=dict(self._playlists), items=self._items)

    @property
    def edits(self) -> Mapping[date, CalendarEdit]:
        """The administrator's days over the announced calendar."""
        return dict(self._edits)

    @property
    def kindness(self) -> Mapping[str, ZoneKindness]:
        """What zones set of their own; `rows.EVERYWHERE` is the district's default."""
        return dict(self._kindness)

    def circumstances(self, *, schedule: Schedule | None = None, with_modes: bool = False) -> Circumstances:
        """Everything that decides what plays, as it stands; with another schedule, and with the modes as they are."""
        return Circumstances(
            schedule=schedule or self.schedule,
            zones=self._registry().zones,
            tz=self._tz,
            calendar=Calendar(dict(self._edits)),
            kindness=Kindness(
                zones={zone: own for zone, own in self._kindness.items() if zone != rows.EVERYWHERE},
                default=_over(DEFAULT, self._kindness.get(rows.EVERYWHERE)),
                reference_lufs=self._reference_lufs,
            ),
            modes=self._spans() if with_modes else (),
        )

    async def look(self) -> Circumstances:
        """What decides what plays, with the library as it is now. Raises StorageFailed."""
        self._items = await self._ask_items()
        return self.circumstances()

    async def preview(self, zone: str, when: date, draft: Slot | None = None) -> ZoneDay:
        """What plays in a zone on a local date, with the modes as they are, and with a slot that is not saved yet.

        Raises NotFound for an unknown zone, Rejected for a draft that could not be saved, or a date far away.
        """
        if abs(when - self.today) > HORIZON:
            sentence = _("A preview reaches {days} days back and ahead.", days=HORIZON.days)
            raise Rejected(RejectReason.INVALID_VALUE, sentence, "date")
        self._registry().zone(zone)
        await self.look()
        schedule = self.schedule
        if draft is not None:
            schedule = replace(schedule, slots={**schedule.slots, draft.id: draft})
            refuse(f for f in await self._check(schedule) if f.slot_id == draft.id)
        return await aside(what_plays, self.circumstances(schedule=schedule, with_modes=True), zone, when)

    async def put_slot(self, slot: Slot, *, actor: str) -> Saved:
        """Save a slot, new or changed. Raises Rejected (naming the field), StorageFailed."""
        async with self._one_at_a_time:
            await self.look()
            before = self._slots.get(slot.id)
            if before is not None:
                self._refuse_locked(before.zones)
            elif len(self._slots) >= _MOST_SLOTS:
                raise Rejected(
                    RejectReason.TOO_LARGE, _("There are {count} slots, that is the most.", count=_MOST_SLOTS)
                )
            schedule = self.schedule
            findings = await self._check(replace(schedule, slots={**schedule.slots, slot.id: slot}))
            refuse(f for f in findings if f.slot_id == slot.id)
            self._refuse_locked(slot.zones)
            await self._write(lambda c, by: rows.put_slot(c, slot, by), actor)
            self._slots[slot.id] = slot
        self._changed()
        return Saved(warnings=tuple(f for f in findings if f.slot_id == slot.id))

    async def put_slots(self, slots: Sequence[Slot], *, actor: str, dry_run: bool = False) -> SavedSlots:
        """Save those of a file that are possible beside the schedule and each other, in one transaction.

        What is not is in `findings`, refused. With `dry_run` nothing is saved, and the answer is the same.
        Raises Rejected (too many, or one meets a zone in emergency mode: then none is saved), StorageFailed.
        """
        async with self._one_at_a_time:
            schedule = self.schedule
            new = {slot.id: slot for slot in slots}
            if len(schedule.slots.keys() | new.keys()) > _MOST_SLOTS:
                raise Rejected(
                    RejectReason.TOO_LARGE, _("There are {count} slots, that is the most.", count=_MOST_SLOTS)
                )
            findings = await self._check(replace(schedule, slots={**schedule.slots, **new}))
            refused = tuple(f for f in findings if f.refused and f.slot_id in new)
            for finding in refused:
                new.pop(finding.slot_id or "", None)
            if refused:  # warnings come only from a schedule in which nothing is refused
                findings = await self._check(replace(schedule, slots={**schedule.slots, **new}))
            for slot in new.values():
                self._refuse_locked((*slot.zones, *(self._slots[slot.id].zones if slot.id in self._slots else ())))
            if new and not dry_run:
                await self._write(lambda c, by: _put_each(c, new.values(), by), actor)
                self._slots.update(new)
        if new and not dry_run:
            self._changed()
        warnings = tuple(f for f in findings if f.slot_id in new)
        return SavedSlots(saved=tuple(new), findings=(*refused, *warnings))

    async def remove_slot(self, slot_id: str, *, actor: str) -> None:
        """Raises NotFound, Rejected(LOCKED), StorageFailed."""
        async with self._one_at_a_time:
            slot = self._slots.get(slot_id)
            if slot is None:
                raise NotFound("slot", slot_id)
            self._refuse_locked(slot.zones)
            await self._write(lambda c, by: rows.remove_slot(c, slot_id, by), actor)
            del self._slots[slot_id]
        self._changed()

    async def put_playlist(self, playlist: Playlist, *, actor: str) -> Saved:
        """Save a playlist. Slots that play it must still be possible. Raises Rejected, StorageFailed."""
        async with self._one_at_a_time:
            await self.look()
            items = self._items
            named = (*playlist.items, *([playlist.chime] if playlist.chime else ()))
            unknown = [item for item in named if item not in items]
            if not is_identifier(playlist.id):
                raise Rejected(RejectReason.INVALID_VALUE, IDENTIFIER, f"playlists.{playlist.id}.id")
            if unknown:
                sentence = _("There is no item {items} in the library.", items=", ".join(unknown[:10]))
                raise Rejected(RejectReason.NOT_FOUND, sentence, f"playlists.{playlist.id}.items")
            if not playlist.items:
                sentence = _("A playlist without items would be silence: add one.")
                raise Rejected(RejectReason.MISSING, sentence, f"playlists.{playlist.id}.items")
            users = [slot for slot in self._slots.values() if slot.playlist == playlist.id]
            for slot in users:
                self._refuse_locked(slot.zones)
            schedule = self.schedule
            findings = await self._check(replace(schedule, playlists={**schedule.playlists, playlist.id: playlist}))
            using = {slot.id for slot in users}
            refuse(f for f in findings if f.slot_id in using)
            await self._write(lambda c, by: rows.put_playlist(c, playlist, by), actor)
            self._playlists[playlist.id] = playlist
        self._changed()
        return Saved(warnings=tuple(f for f in findings if f.slot_id in using))

    async def remove_playlist(self, playlist_id: str, *, actor: str) -> None:
        """Raises NotFound, Rejected(IN_USE) with its users, StorageFailed."""
        async with self._one_at_a_time:
            if playlist_id not in self._playlists:
                raise NotFound("playlist", playlist_id)
            users = [slot.name for slot in self._slots.values() if slot.playlist == playlist_id]
            if users:
                sentence = _("These slots still play it: {slots}.", slots=", ".join(users[:10]))
                raise Rejected(RejectReason.IN_USE, sentence, f"playlists.{playlist_id}")
            await self._write(lambda c, by: rows.remove_playlist(c, playlist_id, by), actor)
            del self._playlists[playlist_id]

    async def put_kindness(self, zone: str, own: ZoneKindness | None, *, actor: str) -> Saved:
        """What a zone (or, with `rows.EVERYWHERE`, the district's default) sets of its own; None: inherited again."""
        async with self._one_at_a_time:
            if zone != rows.EVERYWHERE and own is not None:  # a zone that has left can be cleared
                self._registry().zone(zone)
            before = await self._check(self.schedule)
            await self._write(lambda c, by: rows.put_kindness(c, zone, own, by), actor)
            _set(self._kindness, zone, own)
            self._changed()
            return Saved(warnings=await self._news(before))

    async def put_day(self, when: date, edit: CalendarEdit | None, *, actor: str) -> Saved:
        """The administrator's word for a day; None: as announced again. What is queued for it follows."""
        async with self._one_at_a_time:
            before = await self._check(self.schedule)
            await self._write(lambda c, by: rows.put_day(c, when, edit, by), actor)
            _set(self._edits, when, edit)
            self._changed()
            return Saved(warnings=await self._news(before))

    async def check(self) -> tuple[Finding, ...]:
        """Everything to say about the schedule as it is."""
        await self.look()
        return await self._check(self.schedule)

    async def _check(self, schedule: Schedule) -> tuple[Finding, ...]:
        return await aside(check, self.circumstances(schedule=schedule), self.today)

    async def _news(self, before: Iterable[Finding]) -> tuple[Finding, ...]:
        """What there is to say about the schedule now that was not to be said before."""
        known = list(before)
        return tuple(finding for finding in await self._check(self.schedule) if finding not in known)

    async def _write(self, change: Change, actor: str) -> None:
        by = rows.By(actor=actor, now=self._clock.now())
        await self._store.write(lambda connection: change(connection, by))

    def _refuse_locked(self, zones: Iterable[str]) -> None:
        """The schedule is locked where there is an emergency: in these zones, above or below them."""
        registry, modes = self._registry(), self._modes()
        for zone in zones:
            if zone not in registry.zones:
                continue
            below = [code for code in modes.settings if code in registry.zones and _is_in(code, zone, registry)]
            locked = next((code for code in (zone, *below) if modes.of(code, registry) is Mode.EMERGENCY), None)
            if locked is not None:
                setting = modes.setting_for(locked, registry)
                sentence = _(
                    "The schedule is locked: {zone} is in emergency mode ({reason}).",
                    zone=locked,
                    reason="" if setting is None else setting.reason,
                )
                raise Rejected(RejectReason.LOCKED, sentence, "zones")

    def _spans(self) -> tuple[ModeSpan, ...]:
        return tuple(ModeSpan(zone=s.zone, mode=s.mode, since=s.set_at) for s in self._modes().settings.values())


async def _put_each(connection: AsyncConnection, slots: Iterable[Slot], by: rows.By) -> None:
    for slot in slots:
        await rows.put_slot(connection, slot, by)


def _is_in(zone: str, above: str, registry: Registry) -> bool:
    return any(ancestor.code == above for ancestor in registry.ancestors(zone))


def _over(default: Rules, own: ZoneKindness | None) -> Rules:
    return Kindness(zones={"": own}).below(default, "") if own is not None else default


def _set(table: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        table.pop(key, None)
    else:
        table[key] = value
