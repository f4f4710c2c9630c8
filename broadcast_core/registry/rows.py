"""The registry in the database: read as a whole, written as the difference that an import makes.

An alert must not wait behind an import of fifty thousand rows (P8), so no transaction here is long. Every row says
from which revision of the registry it counts, `since`, and from which no longer, `until`. An import writes what is
new for the next revision in portions that nobody sees; one small transaction then raises the revision, and with it
everything counts at once. What a failure left behind before that belongs to no revision and is cleared away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol, TypeVar
from weakref import WeakKeyDictionary

import structlog
from sqlalchemy import (
    ColumnElement,
    Executable,
    RowMapping,
    Table,
    and_,
    bindparam,
    delete,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.aside import aside, settled
from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry.change import Change, succession
from broadcast_core.registry.sheet import Mode, Sheet, combine
from broadcast_core.registry.snapshot import Registry
from broadcast_core.store import Store, bulk
from broadcast_core.store.schema import endpoint as endpoint_table
from broadcast_core.store.schema import fact
from broadcast_core.store.schema import zone as zone_table

log = structlog.get_logger(__name__)

T = TypeVar("T", Zone, Endpoint)

_REVISION: Final = "registry_revision"  # counts imports; only what counts at this one is the registry
_PORTION: Final = 500  # rows in one transaction (3 to 4 ms in SQLite), or read before the event loop gets its turn
_ONE_IMPORT: Final[WeakKeyDictionary[Store, asyncio.Lock]] = WeakKeyDictionary()  # two would write the same revision


class Recorder(Protocol):
    """Writes the audit row within the transaction: `audit.record`, handed in since it stands beside this package."""

    async def __call__(
        self,
        connection: AsyncConnection,
        *,
        now: datetime,
        actor: str,
        action: str,
        object_: str,
        detail: Mapping[str, Any],
    ) -> None: ...


async def load(store: Store) -> Registry:
    """The registry as stored; empty before the first import. Raises StorageFailed."""
    registry, _revision = await _read(store)
    return registry


async def apply(
    store: Store,
    new: Registry | Sheet,
    *,
    actor: str,
    now: datetime,
    record: Recorder,
    mode: Mode = Mode.MERGE,
) -> tuple[Registry, Change]:
    """Import a file's sheet, or a registry: all of it, with its audit row, or nothing. The registry it makes.

    An import that changes nothing writes nothing. Other writes come in between its portions, and neither they nor
    the event loop wait for the reading, checking and comparing. Raises RegistryRejected with every refused row, or
    StorageFailed; nothing is applied then.
    """
    async with _importing(store):
        sheet = await aside(Sheet.of, new) if isinstance(new, Registry) else new
        while True:
            current, revision = await _read(store)
            target, change = await aside(_succeed, current, sheet, mode)
            if not change:
                return current, change
            summary = _summary(change, mode)
            entry = partial(
                record, now=now, actor=actor, action="registry.import", object_="registry", detail=summary
            )
            await _clear(store, revision)
            await _prepare(store, revision + 1, target, change)
            if await store.write(partial(_make_current, revision=revision + 1, entry=entry)):
                log.info("registry imported", actor=actor, **summary)
                await _clear(store, revision + 1)
                return target, change


@asynccontextmanager
async def _importing(store: Store) -> AsyncIterator[None]:
    async with _ONE_IMPORT.setdefault(store, asyncio.Lock()):
        with settled():
            yield


def _succeed(current: Registry, sheet: Sheet, mode: Mode) -> tuple[Registry, Change]:
    return succession(current, combine(current, sheet, mode))


def _summary(change: Change, mode: Mode) -> dict[str, Any]:
    return {
        "mode": mode.value,
        "raised": len(change.raised),
        **{
            what: {"added": len(d.added), "changed": len(d.changed), "removed": len(d.removed)}
            for what, d in (("zones", change.zones), ("endpoints", change.endpoints))
        },
    }


async def _read(store: Store) -> tuple[Registry, int]:
    while True:
        async with store.read() as connection:
            revision = await _revision(connection)
            zones = await _counting(connection, zone_table, revision, _zone)
            endpoints = await _counting(connection, endpoint_table, revision, _endpoint)
            unchanged = await _revision(connection) == revision
        if unchanged:
            return await aside(Registry, zones, endpoints), revision


async def _counting(
    connection: AsyncConnection, table: Table, revision: int, made_of: Callable[[RowMapping], T]
) -> list[T]:
    """What counts at a revision."""
    t = table.c
    statement = select(table).where(t.since <= revision, or_(t.until.is_(None), t.until > revision))
    found: list[T] = []
    async with connection.stream(statement.execution_options(yield_per=_PORTION)) as rows:
        async for portion in rows.mappings().partitions():
            found += map(made_of, portion)
    return found


async def _revision(connection: AsyncConnection) -> int:
    value = await connection.scalar(select(fact.c.value).where(fact.c.name == _REVISION))
    return int(value or 0)


async def _prepare(store: Store, revision: int, target: Registry, change: Change) -> None:
    """Write what is new in a revision that does not count yet, and until when what it replaces does."""
    z, e = change.zones, change.endpoints
    changed = tuple(dict.fromkeys((*z.changed, *change.raised)))
    zones = [target.zones[code] for code in (*z.added, *changed)]
    endpoints = [target.endpoints[identifier] for identifier in (*e.added, *e.changed)]
    await _in_portions(store, insert(zone_table), zones, _columns(zone_table), lambda zone: _zone_row(zone, revision))
    await _in_portions(
        store, insert(endpoint_table), endpoints, _columns(endpoint_table), lambda one: _endpoint_row(one, revision)
    )
    for table, gone in ((zone_table, (*changed, *z.removed)), (endpoint_table, (*e.changed, *e.removed))):
        ending = (
            update(table)
            .where(_key(table) == bindparam("which"), table.c.until.is_(None), table.c.since < bindparam("before"))
            .values(until=bindparam("ended"))
        )
        await _in_portions(store, ending, gone, ("which", "before", "ended"), lambda key: (key, revision, revision))


async def _make_current(connection: AsyncConnection, *, revision: int, entry: partial[Any]) -> bool:
    """The job that makes a revision count. False if another import has come in between."""
    if await _revision(connection) != revision - 1:
        return False
    await connection.execute(delete(fact).where(fact.c.name == _REVISION))
    await connection.execute(insert(fact).values(name=_REVISION, value=str(revision)))
    await entry(connection)
    return True


async def _clear(store: Store, revision: int) -> None:
    """Remove what no longer counts, and what an import that failed has left behind."""
    for table in (zone_table, endpoint_table):
        t = table.c
        this = and_(_key(table) == bindparam("which"), t.since == bindparam("begun"))
        dead = await _keys(store, table, or_(t.since > revision, t.until <= revision))
        await _in_portions(store, delete(table).where(this), dead, ("which", "begun"))
        ended = await _keys(store, table, t.until > revision)
        back = update(table).where(this).values(until=bindparam("ended"))
        await _in_portions(store, back, ended, ("which", "begun", "ended"), lambda key: (*key, None))


async def _keys(store: Store, table: Table, condition: ColumnElement[bool]) -> list[tuple[object, ...]]:
    async with store.read() as connection:
        return [tuple(row) for row in await connection.execute(select(_key(table), table.c.since).where(condition))]


async def _in_portions(
    store: Store,
    statement: Executable,
    items: Sequence[Any],
    keys: Sequence[str],
    row_of: Callable[[Any], tuple[object, ...]] = tuple,
) -> None:
    """Run `statement` for each item, in many small transactions: whoever waits for the writer gets in between."""
    for start in range(0, len(items), _PORTION):
        rows = [row_of(item) for item in items[start : start + _PORTION]]
        await store.write(partial(bulk, statement=statement, rows=rows, keys=keys))


def _key(table: Table) -> ColumnElement[str]:
    return table.c.code if table is zone_table else table.c.id


def _columns(table: Table) -> list[str]:
    return [column.name for column in table.c]


def _zone(row: RowMapping) -> Zone:
    return Zone(
        code=row["code"],
        parent=row["parent"],
        level=ZoneLevel(row["level"]),
        name_zh=row["name_zh"],
        name_en=row["name_en"],
        membership_version=row["membership_version"],
    )


def _zone_row(zone: Zone, since: int) -> tuple[object, ...]:
    """In the order of the table's columns."""
    return (
        zone.code, since, None, zone.parent, zone.level.value, zone.name_zh, zone.name_en, zone.membership_version,
    )  # fmt: skip


def _endpoint(row: RowMapping) -> Endpoint:
    has_coil = row["line"] is not None
    return Endpoint(
        id=row["id"],
        channel=Channel(row["channel"]),
        zone=row["zone"],
        name=row["name"],
        position=None if row["lat"] is None else Point(lat=row["lat"], lon=row["lon"]),
        phone=row["phone"],
        coil=CoilAddress(line=row["line"], unit=row["unit"], coil=row["coil"]) if has_coil else None,
        language=row["language"],
        simulated=row["simulated"],
        enabled=row["enabled"],
    )


def _endpoint_row(endpoint: Endpoint, since: int) -> tuple[object, ...]:
    """In the order of the table's columns."""
    position, coil = endpoint.position, endpoint.coil
    return (
        endpoint.id, since, None, endpoint.channel.value, endpoint.zone, endpoint.name,
        position and position.lat, position and position.lon, endpoint.phone,
        coil and coil.line, coil and coil.unit, coil and coil.coil,
        endpoint.language, endpoint.simulated, endpoint.enabled,
    )  # fmt: skip
