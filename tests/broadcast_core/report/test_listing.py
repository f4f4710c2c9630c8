"""Lists: in pages that neither repeat nor lose anything, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcast_core.errors import NotFound
from broadcast_core.model import Channel, DeliveryKind, Progress, Reason
from broadcast_core.registry import Registry
from broadcast_core.report import State, Wanted, deliveries, summaries
from broadcast_core.store import Store

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
SPEAKERS = tuple(f"SPK-{n}" for n in range(1, 8))


async def test_alerts_come_newest_first_and_each_once(store: Store, ledger: Any) -> None:
    for n in range(7):
        # Two of each instant: the page must not break between them.
        await ledger.accept(f"A{n}", ["SPK-1"], at=NOW + timedelta(seconds=n // 2))
    seen: list[str] = []
    before = None
    while True:
        page = await summaries(store, limit=2, before=before)
        seen += [item.alert_id for item in page.items]
        before = page.following
        if before is None:
            break
    assert seen == ["A6", "A5", "A4", "A3", "A2", "A1", "A0"]


async def test_an_update_changes_an_alerts_line_and_not_its_place(store: Store, ledger: Any) -> None:
    await ledger.accept("A", SPEAKERS, headline="一")
    await ledger.accept("B", ["SPK-1"], at=NOW + timedelta(seconds=1))
    await ledger.accept("A", ["SPK-1", "SMS-1"], revision=2, at=NOW + timedelta(seconds=2), headline="二")
    page = await summaries(store, limit=10)
    assert [(s.alert_id, s.revision, s.headline) for s in page.items] == [("B", 1, "预警"), ("A", 2, "二")]
    newest = page.items[1]
    assert newest.targets == {Channel.SPEAKER: 1, Channel.SMS: 1}
    assert (newest.first_accepted_at, newest.accepted_at) == (NOW, NOW + timedelta(seconds=2))
    assert sum(newest.states.values()) == 2


async def test_no_alerts_are_an_empty_page(store: Store) -> None:
    page = await summaries(store, limit=10)
    assert (page.items, page.following) == ((), None)


async def test_a_page_after_an_unknown_alert_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await summaries(store, limit=10, before="X")


async def test_deliveries_come_by_endpoint_in_pages(store: Store, ledger: Any, registry: Registry) -> None:
    await ledger.accept("A", SPEAKERS)
    first = await deliveries(store, "A", registry, Wanted(), limit=4)
    second = await deliveries(store, "A", registry, Wanted(), limit=4, after=first.following)
    assert [row.endpoint_id for row in (*first.items, *second.items)] == list(SPEAKERS)
    assert (first.following, second.following, first.total) == ("SPK-4", None, 7)


async def test_deliveries_are_filtered_by_channel_state_zone_and_kind(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", [*SPEAKERS, "SMS-1"])
    await ledger.say("A", "SPK-1", Progress.FAILED, reason=Reason.HARDWARE, detail="relay stuck")
    await ledger.stop("A", ["SPK-2"])

    async def ids(**wanted: Any) -> list[str]:
        page = await deliveries(store, "A", registry, Wanted(**wanted), limit=100)
        return [row.endpoint_id for row in page.items]

    assert await ids(channel=Channel.SMS) == ["SMS-1"]
    assert await ids(state=State.FAILED) == ["SPK-1"]
    assert await ids(zone="N") == ["SPK-1", "SPK-2", "SPK-3"]
    assert await ids(zone="D", channel=Channel.SMS) == ["SMS-1"]
    assert await ids(kind=DeliveryKind.STOP) == ["SPK-2"]
    failed = await deliveries(store, "A", registry, Wanted(state=State.FAILED), limit=1)
    assert (failed.items[0].detail, failed.items[0].zone_name) == ("relay stuck", "北街道")


async def test_deliveries_are_those_of_the_newest_revision_unless_one_is_named(
    store: Store, ledger: Any, registry: Registry
) -> None:
    await ledger.accept("A", SPEAKERS)
    await ledger.accept("A", ["SPK-1"], revision=2)
    newest = await deliveries(store, "A", registry, Wanted(), limit=100)
    older = await deliveries(store, "A", registry, Wanted(revision=1), limit=100)
    assert (newest.total, older.total) == (1, 7)
    for unknown in (("A", Wanted(revision=3)), ("B", Wanted()), ("A", Wanted(zone="X"))):
        with pytest.raises(NotFound):
            await deliveries(store, unknown[0], registry, unknown[1], limit=1)
