"""A database of an earlier version is brought up to date with everything that is in it."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from broadcast_core.model import Channel, CoilAddress, Endpoint, Point, ZoneLevel
from broadcast_core.registry.rows import load
from broadcast_core.store import Store
from broadcast_core.store.migrate import upgrade

# As the core of that version wrote it.
FIRST_VERSION = (
    "INSERT INTO fact (name, value) VALUES ('registry_revision', '4'), ('epoch', '1790000000')",
    "INSERT INTO zone (code, parent, level, name_zh, name_en, membership_version) VALUES "
    "('D', NULL, 'district', '区', 'District', 7), ('N', 'D', 'subdistrict', '北', 'North', 5)",
    "INSERT INTO endpoint (id, channel, zone, name, lat, lon, phone, line, unit, coil, language, simulated, enabled) "
    "VALUES ('SPK-1', 'speaker', 'N', '喇叭', 28.1, 112.9, NULL, NULL, NULL, NULL, NULL, FALSE, TRUE), "
    "('HRN-1', 'horn', 'D', '警报器', NULL, NULL, NULL, 'line-1', 1, 3, NULL, FALSE, FALSE), "
    "('SMS-1', 'sms', 'D', '人', NULL, NULL, '+9990000000001', NULL, NULL, NULL, 'zh-CN', TRUE, TRUE)",
    "INSERT INTO audit (seq, acted_at, recorded_at, actor, action, object, detail, previous, hash) VALUES "
    "(1, 5, 5, 'li', 'registry.import', 'registry', '{}', '0', 'a'), "
    "(2, 6, 6, 'li', 'alert.begin', 'A', '{}', 'a', 'b')",
    "INSERT INTO idempotency (actor, key, fingerprint, answer, created_at) VALUES ('li', 'k', 'f', '{}', 5)",
)


async def first_version(url: str) -> None:
    engine = create_async_engine(url)
    await upgrade(engine, "0001")
    async with engine.begin() as connection:
        for statement in FIRST_VERSION:
            await connection.execute(text(statement))
    await engine.dispose()


async def count(connection: AsyncConnection, table: str) -> int:
    return int(await connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


async def test_the_first_version_with_data_in_it_is_upgraded(database_url: str) -> None:
    await first_version(database_url)
    async with Store(database_url) as store:
        registry = await load(store)
        async with store.read() as connection:
            kept = {table: await count(connection, table) for table in ("fact", "audit", "idempotency")}
    assert kept == {"fact": 2, "audit": 2, "idempotency": 1}
    assert [(z.code, z.parent, z.level, z.membership_version) for z in registry.zones.values()] == [
        ("D", None, ZoneLevel.DISTRICT, 7),
        ("N", "D", ZoneLevel.SUBDISTRICT, 5),
    ]
    assert dict(registry.endpoints) == {
        "SPK-1": Endpoint(
            id="SPK-1", channel=Channel.SPEAKER, zone="N", name="喇叭", position=Point(lat=28.1, lon=112.9)
        ),
        "HRN-1": Endpoint(
            id="HRN-1",
            channel=Channel.HORN,
            zone="D",
            name="警报器",
            coil=CoilAddress(line="line-1", unit=1, coil=3),
            enabled=False,
        ),
        "SMS-1": Endpoint(
            id="SMS-1",
            channel=Channel.SMS,
            zone="D",
            name="人",
            phone="+9990000000001",
            language="zh-CN",
            simulated=True,
        ),
    }


async def test_an_upgraded_database_is_opened_again_as_it_is(database_url: str) -> None:
    await first_version(database_url)
    async with Store(database_url) as store:
        before = await load(store)
    async with Store(database_url) as store:
        assert await load(store) == before
