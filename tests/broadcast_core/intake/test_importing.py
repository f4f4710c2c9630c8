"""An import of any size stands before no alert (P8)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from sqlalchemy import func, select

from broadcast_core.model import Channel, Endpoint, Level, Spoken, Start
from broadcast_core.registry import Change, Mode, Registry
from broadcast_core.registry.rows import load
from broadcast_core.render import Words
from broadcast_core.store import Store
from broadcast_core.store.schema import audit as audit_table
from broadcast_core.store.schema import endpoint as endpoint_table

MANY = 20_000


def grown(registry: Registry, count: int) -> Registry:
    phones = (
        Endpoint(id=f"NEW-{n:05}", channel=Channel.SMS, zone="S1", name="x", phone=f"+999{n:010}")
        for n in range(100, count + 100)
    )
    return Registry(registry.zones.values(), (*registry.endpoints.values(), *phones))


async def unseen(store: Store) -> int:
    """How many endpoints are written for a revision that does not count yet."""
    async with store.read() as connection:
        found = await connection.scalar(select(func.count()).where(endpoint_table.c.since > 1))
    return int(found or 0)


async def test_an_alert_is_accepted_while_a_large_import_is_being_written(site) -> None:
    big = grown(site.intake.registry, MANY)
    importing = asyncio.create_task(site.intake.import_registry(big, actor="li", mode=Mode.MERGE))
    while not await unseen(site.store):
        assert not importing.done()
        await asyncio.sleep(0)
    accepted = await site.intake.submit(site.alert("S1"), actor="wang")
    written = await unseen(site.store)
    still_importing = not importing.done()
    await importing
    assert still_importing
    assert written < MANY, "the alert waited until everything was written"
    assert accepted.targets == {Channel.SPEAKER: 3, Channel.SMS: 1}  # of the registry that counted at that moment
    assert len((await load(site.store)).endpoints) == len(big.endpoints)
    async with site.store.read() as connection:
        acts = (await connection.execute(select(audit_table.c.action).order_by(audit_table.c.seq))).scalars().all()
    assert acts[-2:] == ["alert.begin", "registry.import"]


async def test_an_alert_does_not_wait_for_those_that_an_import_has_to_tell(site) -> None:
    telling, told = asyncio.Event(), asyncio.Event()

    async def slow(_registry: Registry, _change: Change) -> None:
        telling.set()
        await told.wait()

    await site.crash()
    site.registry_changed = slow
    await site.start()
    bigger = grown(site.intake.registry, 1)
    importing = asyncio.create_task(site.intake.import_registry(bigger, actor="li", mode=Mode.MERGE))
    await telling.wait()
    async with asyncio.timeout(30):  # for ever, if it did
        await site.intake.submit(site.alert("S1"), actor="wang")
    told.set()
    await importing
    assert site.intake.registry == await load(site.store)


async def test_an_alert_that_an_import_overtakes_is_planned_for_the_new_registry(site) -> None:
    speaking, go_on = asyncio.Event(), asyncio.Event()

    async def slow(words: Sequence[Words], level: Level, _clip: str | None) -> Spoken:
        speaking.set()
        await go_on.wait()
        return Spoken(tone="attention-1", audio=None, text=tuple((w.language, w.text) for w in words))

    await site.crash()
    site.speak = slow
    await site.start()
    submitting = asyncio.create_task(site.intake.submit(site.alert("S"), actor="wang"))
    await speaking.wait()
    before = site.intake.registry
    kept = [e for e in before.endpoints.values() if e.id not in ("SPK-S0", "SMS-S")]
    smaller = Registry(before.zones.values(), kept)
    await site.intake.import_registry(smaller, actor="li", mode=Mode.REPLACE)
    go_on.set()
    accepted = await submitting
    assert accepted.targets == {Channel.SPEAKER: 2}
    (delivery,) = [d for d in site.speakers.orders(Start) if d.order.alert_id == accepted.alert_id]
    assert delivery.endpoint.id == "SPK-S1"
    assert delivery.via_version in (0, site.intake.registry.zone("S1").membership_version)
    assert site.intake.registry.zone("S1").membership_version == 2
