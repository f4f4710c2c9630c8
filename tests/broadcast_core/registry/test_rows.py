"""The registry in the database, on both databases: whole or not at all, and with its audit row."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import select

from broadcast_core import audit
from broadcast_core.errors import RegistryRejected
from broadcast_core.registry import Change, Mode, Registry, Sheet, csv_file
from broadcast_core.registry.dataset import default_registry
from broadcast_core.registry.rows import apply, load
from broadcast_core.store import Store
from broadcast_core.store.schema import audit as audit_table
from broadcast_core.store.schema import endpoint as endpoint_table

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


async def put(store: Store, new: Registry | Sheet, mode: Mode = Mode.MERGE) -> Change:
    return (await apply(store, new, actor="li", now=NOW, record=audit.record, mode=mode))[1]


async def recorded(store: Store) -> list[dict[str, object]]:
    async with store.read() as connection:
        found = await connection.execute(select(audit_table).order_by(audit_table.c.seq))
        return [dict(row) for row in found.mappings()]


async def test_what_was_stored_is_loaded_equal(store: Store, small: Registry) -> None:
    assert await load(store) == Registry()
    change = await put(store, small)
    assert set(change.endpoints.added) == set(small.endpoints)
    assert await load(store) == small


async def test_the_default_data_set_goes_in_and_comes_out(store: Store) -> None:
    await put(store, default_registry())
    assert await load(store) == default_registry()


async def test_an_import_leaves_an_audit_row_and_one_that_changes_nothing_none(store: Store, small: Registry) -> None:
    await put(store, small)
    assert not await put(store, csv_file.parse(csv_file.encode(small, with_phones=True)))
    assert not await put(store, small, Mode.REPLACE)
    (row,) = await recorded(store)
    assert (row["actor"], row["action"], row["object"]) == ("li", "registry.import", "registry")
    detail = msgspec.json.decode(str(row["detail"]))
    assert detail["endpoints"] == {"added": 7, "changed": 0, "removed": 0}


async def test_replacing_removes_adds_changes_and_raises_versions(store: Store, small: Registry) -> None:
    await put(store, small)
    zones = [replace(z, name_zh="新名") if z.code == "S" else z for z in small.zones.values() if z.code != "N2"]
    zones.append(replace(small.zone("N2"), code="N3"))
    kept = [e for e in small.endpoints.values() if e.zone != "N2" and e.id != "SMS-1"]
    endpoints = [*kept, replace(small.endpoint("SPK-3"), zone="N3"), replace(small.endpoint("SMS-1"), language=None)]
    change = await put(store, Registry(zones, endpoints), Mode.REPLACE)
    stored = await load(store)
    assert change.zones.removed == ("N2",)
    assert change.endpoints.removed == ("HRN-1",)
    assert set(change.endpoints.changed) == {"SPK-3", "SMS-1"}
    assert stored.zone("S").name_zh == "新名"
    assert {code: z.membership_version for code, z in stored.zones.items()} == {
        "D": 2, "N": 2, "N1": 1, "N3": 2, "S": 1, "S1": 1,
    }  # fmt: skip
    assert [e.id for e in stored.members("N3")] == ["SPK-3"]


async def test_the_whole_registry_can_be_exchanged_for_another(store: Store, small: Registry) -> None:
    await put(store, default_registry())
    await put(store, small, Mode.REPLACE)
    stored = await load(store)
    assert set(stored.zones) == set(small.zones)
    assert stored.endpoints == small.endpoints


async def test_of_a_refused_file_nothing_is_applied(store: Store, small: Registry) -> None:
    await put(store, small)
    file = b"kind,id,zone,name\nspeaker,SPK-8,N1,good\nspeaker,SPK-9,nowhere,bad"
    with pytest.raises(RegistryRejected):
        await put(store, csv_file.parse(file))
    assert await load(store) == small
    assert len(await recorded(store)) == 1


async def test_an_import_whose_audit_row_fails_is_not_there_either(store: Store, small: Registry) -> None:
    async def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("no audit, no act")

    with pytest.raises(RuntimeError, match="no audit"):
        await apply(store, small, actor="li", now=NOW, record=broken)
    assert await load(store) == Registry()


async def test_what_a_failed_import_left_behind_never_counts(store: Store, small: Registry) -> None:
    async def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("no audit, no act")

    await put(store, small)
    other = [replace(e, name="another") for e in small.endpoints.values() if e.id not in ("SPK-1", "SMS-1")]
    failing = Registry(small.zones.values(), [*other, replace(small.endpoint("SPK-1"), id="SPK-77")])
    with pytest.raises(RuntimeError):
        await apply(store, failing, actor="li", now=NOW, record=broken, mode=Mode.REPLACE)
    assert await load(store) == small
    renamed = replace(small.endpoint("SPK-1"), name="新名")
    endpoints = [renamed if e.id == "SPK-1" else e for e in small.endpoints.values()]
    await put(store, Registry(small.zones.values(), endpoints))
    stored = await load(store)
    assert stored.endpoint("SPK-1") == renamed
    assert set(stored.endpoints) == set(small.endpoints)
    async with store.read() as connection:
        rows = (await connection.execute(select(endpoint_table.c.since, endpoint_table.c.until))).all()
    assert len(rows) == len(small.endpoints), "an old version or a failed one is still there"
    assert {until for _since, until in rows} == {None}


async def test_imports_at_the_same_time_lose_nothing(store: Store, small: Registry) -> None:
    await put(store, small)
    files = [f"kind,id,zone,name\nspeaker,SPK-{i},N1,x".encode() for i in range(10, 15)]
    await asyncio.gather(*(put(store, csv_file.parse(file)) for file in files))
    stored = await load(store)
    assert {f"SPK-{i}" for i in range(10, 15)} <= set(stored.endpoints)
    assert stored.root.membership_version == 6
