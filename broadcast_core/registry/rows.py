"""The registry in the database: read as a whole, written as the difference that an import makes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, Protocol

import structlog
from sqlalchemy import RowMapping, Table, bindparam, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, Zone, ZoneLevel
from broadcast_core.registry.change import Change, succession
from broadcast_core.registry.sheet import Mode, Sheet, combine
from broadcast_core.registry.snapshot import Registry
from broadcast_core.store import Store, bulk
from broadcast_core.store.schema import endpoint as endpoint_table
from broadcast_core.store.schema import fact
from broadcast_core.store.schema import zone as zone_table

log = structlog.get_logger(__name__)

_REVISION: Final = "registry_revision"  # counts imports: tells whether what was read is still what is stored
_CHUNK: Final = 1000  # rows for each statement; between two the event loop gets its turn


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
) -> Change:
    """Import a file's sheet, or a registry, in one transaction with its audit row.

    An import that changes nothing writes nothing. Raises RegistryRejected with every refused row, or StorageFailed;
    nothing is applied then.
    """
    sheet = Sheet.of(new) if isinstance(new, Registry) else new
    while True:
        current, revision = await _read(store)
        # Reading thousands of rows takes a while, and neither the event loop nor the one writer may wait for it.
        target, change = await asyncio.to_thread(_succeed, current, sheet, mode)
        if not change:
            return change
        entry = partial(
            record, now=now, actor=actor, action="registry.import", object_="registry", detail=_summary(change, mode)
        )
        if await store.write(partial(_write, revision=revision, target=target, change=change, entry=entry)):
            log.info("registry imported", actor=actor, **_summary(change, mode))
            return change


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
            zones = (await connection.execute(select(zone_table))).mappings().all()
            endpoints = (await connection.execute(select(endpoint_table))).mappings().all()
            unchanged = await _revision(connection) == revision
        if unchanged:
            return await asyncio.to_thread(_registry, zones, endpoints), revision


def _registry(zones: Iterable[RowMapping], endpoints: Iterable[RowMapping]) -> Registry:
    return Registry(map(_zone, zones), map(_endpoint, endpoints))


async def _revision(connection: AsyncConnection) -> int:
    value = await connection.scalar(select(fact.c.value).where(fact.c.name == _REVISION))
    return int(value or 0)


async def _write(
    connection: AsyncConnection, *, revision: int, target: Registry, change: Change, entry: partial[Any]
) -> bool:
    """The job. False, and nothing written, if another import came in between."""
    if await _revision(connection) != revision:
        return False
    changed_zones = dict.fromkeys((*change.zones.changed, *change.raised))
    # Parents before children, endpoints between new zones and removed ones: every reference holds at every step.
    await _insert(connection, zone_table, [_zone_row(target.zones[code]) for code in change.zones.added])
    await _update(connection, zone_table, "code", [_zone_row(target.zones[code]) for code in changed_zones])
    await _delete(connection, endpoint_table, "id", change.endpoints.removed)
    await _update(
        connection, endpoint_table, "id", [_endpoint_row(target.endpoints[i]) for i in change.endpoints.changed]
    )
    await _insert(connection, endpoint_table, [_endpoint_row(target.endpoints[i]) for i in change.endpoints.added])
    await _delete(connection, zone_table, "code", tuple(reversed(change.zones.removed)))
    await _set_revision(connection, revision + 1)
    await entry(connection)
    return True


async def _set_revision(connection: AsyncConnection, revision: int) -> None:
    await connection.execute(delete(fact).where(fact.c.name == _REVISION))
    await connection.execute(insert(fact).values(name=_REVISION, value=str(revision)))


async def _insert(connection: AsyncConnection, table: Table, rows: list[dict[str, object]]) -> None:
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        await bulk(connection, insert(table), [tuple(row.values()) for row in chunk], list(chunk[0]))


async def _update(connection: AsyncConnection, table: Table, key: str, rows: list[dict[str, object]]) -> None:
    for start in range(0, len(rows), _CHUNK):
        chunk = [{**row, "which": row[key]} for row in rows[start : start + _CHUNK]]
        await connection.execute(update(table).where(table.c[key] == bindparam("which")), chunk)


async def _delete(connection: AsyncConnection, table: Table, key: str, gone: tuple[str, ...]) -> None:
    for start in range(0, len(gone), _CHUNK):
        chunk = [{"which": identifier} for identifier in gone[start : start + _CHUNK]]
        await connection.execute(delete(table).where(table.c[key] == bindparam("which")), chunk)


def _zone(row: RowMapping) -> Zone:
    return Zone(**{**row, "level": ZoneLevel(row["level"])})


def _zone_row(zone: Zone) -> dict[str, object]:
    return {
        "code": zone.code,
        "parent": zone.parent,
        "level": zone.level.value,
        "name_zh": zone.name_zh,
        "name_en": zone.name_en,
        "membership_version": zone.membership_version,
    }


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


def _endpoint_row(endpoint: Endpoint) -> dict[str, object]:
    position, coil = endpoint.position, endpoint.coil
    return {
        "id": endpoint.id,
        "channel": endpoint.channel.value,
        "zone": endpoint.zone,
        "name": endpoint.name,
        "lat": position and position.lat,
        "lon": position and position.lon,
        "phone": endpoint.phone,
        "line": coil and coil.line,
        "unit": coil and coil.unit,
        "coil": coil and coil.coil,
        "language": endpoint.language,
        "simulated": endpoint.simulated,
        "enabled": endpoint.enabled,
    }
