"""The schedule in and out of the database. Writes are jobs for `Store.write`, each with its audit row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import Table, delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import to_ms
from broadcast_core.store import Store
from broadcast_core.store.schema import calendar_day, kindness, playlist, slot
from scheduler.calendar import CalendarEdit
from scheduler.kindness import ZoneKindness
from scheduler.model import DayKind, Playlist, Slot
from scheduler.record import playlist_of, playlist_record, slot_of, slot_record

EVERYWHERE: Final = ""  # the row of the district's default kindness


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """Everything of the schedule that is ours; items belong to the media library."""

    slots: Mapping[str, Slot]
    playlists: Mapping[str, Playlist]
    kindness: Mapping[str, ZoneKindness]
    edits: Mapping[date, CalendarEdit]


@dataclass(frozen=True, kw_only=True, slots=True)
class By:
    """Who changes something, and when."""

    actor: str
    now: datetime


async def load(store: Store) -> Stored:
    async with store.read() as connection:
        slots = (await connection.execute(select(slot.c.body))).scalars().all()
        playlists = (await connection.execute(select(playlist.c.body))).scalars().all()
        kind = (await connection.execute(select(kindness.c.zone, kindness.c.body))).all()
        days = (await connection.execute(select(calendar_day))).all()
    return Stored(
        slots={s.id: s for s in (slot_of(msgspec.json.decode(body)) for body in slots)},
        playlists={p.id: p for p in (playlist_of(msgspec.json.decode(body)) for body in playlists)},
        kindness={row.zone: msgspec.json.decode(row.body, type=ZoneKindness) for row in kind},
        edits={
            date.fromisoformat(row.date): CalendarEdit(
                date=date.fromisoformat(row.date), kind=DayKind(row.kind), name=row.name
            )
            for row in days
        },
    )


async def put_slot(connection: AsyncConnection, new: Slot, by: By) -> None:
    await _put(connection, slot, {"id": new.id}, {"body": _json(slot_record(new))}, by)
    await _note(connection, "slot.put", new.id, slot_record(new), by)


async def remove_slot(connection: AsyncConnection, slot_id: str, by: By) -> None:
    await connection.execute(delete(slot).where(slot.c.id == slot_id))
    await _note(connection, "slot.remove", slot_id, {}, by)


async def put_playlist(connection: AsyncConnection, new: Playlist, by: By) -> None:
    await _put(connection, playlist, {"id": new.id}, {"body": _json(playlist_record(new))}, by)
    await _note(connection, "playlist.put", new.id, playlist_record(new), by)


async def remove_playlist(connection: AsyncConnection, playlist_id: str, by: By) -> None:
    await connection.execute(delete(playlist).where(playlist.c.id == playlist_id))
    await _note(connection, "playlist.remove", playlist_id, {}, by)


async def put_kindness(connection: AsyncConnection, zone: str, new: ZoneKindness | None, by: By) -> None:
    """What a zone sets of its own; None: it has its parent's again."""
    if new is None:
        await connection.execute(delete(kindness).where(kindness.c.zone == zone))
    else:
        await _put(connection, kindness, {"zone": zone}, {"body": _json(new)}, by)
    await _note(connection, "kindness.put", zone or "district", msgspec.to_builtins(new) or {}, by)


async def put_day(connection: AsyncConnection, when: date, edit: CalendarEdit | None, by: By) -> None:
    """The administrator's word for a day; None: as announced again."""
    if edit is None:
        await connection.execute(delete(calendar_day).where(calendar_day.c.date == when.isoformat()))
    else:
        values = {"kind": edit.kind.value, "name": edit.name}
        await _put(connection, calendar_day, {"date": when.isoformat()}, values, by)
    detail = {} if edit is None else {"kind": edit.kind.value, "name": edit.name}
    await _note(connection, "calendar.put", when.isoformat(), detail, by)


async def _put(
    connection: AsyncConnection, table: Table, key: Mapping[str, str], values: Mapping[str, Any], by: By
) -> None:
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    changed = {**values, "changed_at": to_ms(by.now), "changed_by": by.actor}
    statement = module.insert(table).values(**key, **changed)
    await connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))


async def _note(connection: AsyncConnection, action: str, object_: str, detail: Mapping[str, Any], by: By) -> None:
    await audit.record(connection, now=by.now, actor=by.actor, action=action, object_=object_, detail=detail)


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
