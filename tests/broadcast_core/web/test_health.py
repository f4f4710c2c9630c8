"""Health and metrics: honest without a token."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from broadcast_core.model import Channel, Presence, Progress, Reason

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def samples(core: Any) -> Samples:
    response = await core.ask("GET", "/metrics", token=None)
    families = text_string_to_metric_families(await response.text())
    return {(s.name, frozenset(s.labels.items())): s.value for family in families for s in family.samples}


def value(found: Samples, name: str, **labels: str) -> float:
    return found[f"tocsin_{name}", frozenset(labels.items())]


async def test_a_healthy_core_is_ready(core: Any) -> None:
    response = await core.ask("GET", "/healthz", token=None)
    assert response.status == 200
    assert await response.json() == {
        "ready": True,
        "store_writable": True,
        "channels_up": {"speaker": True, "horn": True, "sms": True},
        "receipts_waiting": 0,
        "free_mb": 10_000,
        "reserved": False,
        "ballast": True,
    }


async def test_a_channel_that_is_down_shows_and_comes_back(core: Any) -> None:
    core.speakers.down = True
    await core.send(core.cap())

    async def status() -> int:
        return int((await core.ask("GET", "/healthz", token=None)).status)

    async def is_down() -> bool:
        return await status() == 503

    async def is_up() -> bool:
        return await status() == 200

    await core.until(is_down)
    health = await (await core.ask("GET", "/healthz", token=None)).json()
    assert health["channels_up"] == {"speaker": False, "horn": True, "sms": True}
    assert value(await samples(core), "channel_up", channel="speaker") == 0
    core.speakers.down = False
    await core.until(is_up)


async def test_a_store_that_cannot_be_written_shows_and_one_probe_is_enough(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broadcast_core.web.health._PATIENCE_S", 0.2)
    locker = sqlite3.connect(core.database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        asked = await asyncio.gather(*(core.ask("GET", "/healthz", token=None) for _ in range(20)))
        assert {response.status for response in asked} == {503}
        assert (await asked[0].json())["store_writable"] is False
        probes = [task for task in asyncio.all_tasks() if task.get_name() == "store-probe"]
        assert len(probes) == 1
    finally:
        locker.execute("ROLLBACK")
        locker.close()


async def test_metrics_count_what_happened(core: Any) -> None:
    core.speakers.answers["SPK-1"] = (Progress.RECEIVED, Progress.FAILED)
    core.speakers.reasons["SPK-1"] = Reason.HARDWARE
    core.speakers.presence("SPK-2", Presence.ONLINE)
    accepted = await core.send(core.cap())
    await core.until_complete(accepted["alert_id"])
    bad = core.cap("A-2").replace(b"Actual", b"Exercise")
    await core.ask("POST", "/api/v1/alerts", data=bad, headers={"Content-Type": "text/xml"})
    found = await samples(core)
    assert value(found, "alerts_accepted_total", msg_type="Alert") == 1
    assert value(found, "alerts_refused_total", reason="status_not_allowed") == 1
    assert value(found, "alerts_refused_total", reason="expired") == 0
    assert value(found, "delivery_failures_total", channel="speaker", reason="hardware") == 1
    assert value(found, "delivery_failures_total", channel="sms", reason="undelivered") == 0
    assert value(found, "received_seconds_count", channel="speaker") == 2
    assert value(found, "received_seconds_bucket", channel="speaker", le="+Inf") == 2
    assert value(found, "live_deliveries", channel="speaker", kind="start", state="finished") == 1
    assert value(found, "live_deliveries", channel="speaker", kind="start", state="failed") == 1
    assert value(found, "endpoints", channel="speaker", presence="online") == 1
    assert value(found, "endpoints", channel="speaker", presence="unknown") == 3
    assert value(found, "commits_total") >= 3
    assert value(found, "receipts_waiting") == 0


async def test_evidence_that_is_said_twice_is_counted_once(core: Any) -> None:
    accepted = await core.send(core.cap())
    await core.until_complete(accepted["alert_id"])
    live = core.services.live.get(accepted["alert_id"], 1)
    for key in live.deliveries:
        core.speakers.report(key, Progress.RECEIVED, Progress.FINISHED)
    assert core.speakers.channel is Channel.SPEAKER

    async def settled() -> bool:
        return bool(core.services.dispatch.settler.durable[Progress.RECEIVED] >= 4)

    await core.until(settled)
    assert value(await samples(core), "received_seconds_count", channel="speaker") == 2


async def test_a_refused_submission_of_storage_is_counted_and_says_that_stop_works(
    core: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from broadcast_core.errors import StorageFailed

    async def full(_job: Any) -> Any:
        raise StorageFailed("database or disk is full: /secret/path")

    monkeypatch.setattr(core.services.store, "write", full)
    response = await core.ask(
        "POST", "/api/v1/alerts", data=core.cap(), headers={"Content-Type": "application/cap+xml"}
    )
    problem = await response.json()
    assert (response.status, problem["reason"]) == (503, "storage_failed")
    assert "/secret/path" not in str(problem)
    assert value(await samples(core), "alerts_refused_total", reason="storage_failed") == 1
    monkeypatch.undo()
