"""A disk that fills up: alerts go on, the rest is refused, and it is said (P8, P14)."""

from __future__ import annotations

from typing import Any

IMPORT = "/api/v1/registry/import"
ROWS = b"kind,id,zone,name\nspeaker,SPK-9,N1,x\n"


async def test_the_reserve_is_for_alerts_only(core: Any) -> None:
    core.disk.free = 400_000_000
    refused = await core.ask("POST", IMPORT, data=ROWS, headers={"Content-Type": "text/csv"})
    problem = await refused.json()
    assert (refused.status, problem["reason"]) == (507, "storage_reserved")
    assert "400 MB" in problem["detail"]
    assert "512 MB" in problem["detail"]
    assert "SPK-9" not in core.services.registry().endpoints
    accepted = await core.ask(
        "POST", "/api/v1/alerts", data=core.cap(), headers={"Content-Type": "application/cap+xml"}
    )
    assert accepted.status == 201
    core.disk.free = 10_000_000_000
    taken = await core.ask("POST", IMPORT, data=ROWS, headers={"Content-Type": "text/csv"})
    assert taken.status == 200


async def test_health_says_how_the_disk_stands_and_stays_ready(core: Any) -> None:
    core.disk.free = 100_000_000
    response = await core.ask("GET", "/healthz", token=None)
    health = await response.json()
    assert response.status == 200
    assert (health["ready"], health["free_mb"], health["reserved"], health["ballast"]) == (True, 100, True, True)
    metrics = await (await core.ask("GET", "/metrics", token=None)).text()
    assert "tocsin_storage_free_bytes 1e+08" in metrics
