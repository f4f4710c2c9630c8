"""The registry over HTTP: seen without phone numbers, exchanged as files, all or nothing."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import pytest

from broadcast_core.model import Presence

REGISTRY = "/api/v1/registry"


async def test_zones_come_from_the_top_with_their_counts(core: Any) -> None:
    zones = (await (await core.ask("GET", f"{REGISTRY}/zones")).json())["items"]
    assert [zone["code"] for zone in zones] == ["D", "N", "N1", "N2", "S", "S1"]
    assert zones[0]["endpoints"] == {"speaker": 5, "horn": 1, "sms": 2}
    assert zones[2]["endpoints"] == {"speaker": 2, "horn": 0, "sms": 1}


async def test_endpoints_are_filtered_and_paged(core: Any) -> None:
    async def ids(query: str) -> list[str]:
        page = await (await core.ask("GET", f"{REGISTRY}/endpoints?{query}")).json()
        return [item["id"] for item in page["items"]]

    core.speakers.presence("SPK-4", Presence.ONLINE)
    assert await ids("channel=horn") == ["HRN-1"]
    assert await ids("zone=N&channel=speaker") == ["SPK-1", "SPK-2", "SPK-3"]
    assert await ids("simulated=true") == ["SPK-2"]
    assert await ids("enabled=false") == ["SPK-5"]

    async def online() -> bool:
        return await ids("presence=online") == ["SPK-4"]

    await core.until(online)
    everybody = await ids("limit=1000")
    seen, after = [], ""
    while after is not None:
        page = await (await core.ask("GET", f"{REGISTRY}/endpoints?limit=3{after and f'&after={after}'}")).json()
        assert page["total"] == 8
        seen += [item["id"] for item in page["items"]]
        after = page["following"]
    assert seen == everybody
    assert (await core.ask("GET", f"{REGISTRY}/endpoints?zone=X")).status == 404


async def test_no_phone_number_is_shown_whole(core: Any) -> None:
    for path in (f"{REGISTRY}/endpoints", f"{REGISTRY}/export", f"{REGISTRY}/export?format=geojson"):
        text = await (await core.ask("GET", path, token="reader")).text()
        assert "SMS-1" in text
        assert "9990000000001" not in text


async def test_phone_numbers_leave_only_by_right_and_by_name(core: Any) -> None:
    path = f"{REGISTRY}/export?phones=true"
    refused = await core.ask("GET", path, token="reader")
    assert (refused.status, (await refused.json())["field"]) == (403, "query.phones")
    allowed = await core.ask("GET", path)
    assert "+9990000000001" in await allowed.text()
    with sqlite3.connect(core.database) as database:
        rows = database.execute("SELECT actor, detail FROM audit WHERE action = 'registry.export'").fetchall()
    assert rows == [("all-person", '{"format":"csv","phones":2}')]
    database.close()


@pytest.mark.parametrize("form", ["csv", "geojson"])
async def test_what_was_exported_can_be_imported_and_changes_nothing(core: Any, form: str) -> None:
    exported = await core.ask("GET", f"{REGISTRY}/export?format={form}&phones=true")
    assert f"tocsin-registry.{form}" in exported.headers["Content-Disposition"]
    headers = {"Content-Type": exported.headers["Content-Type"]}
    response = await core.ask(
        "POST", f"{REGISTRY}/import?mode=replace", data=(await exported.text()).encode(), headers=headers
    )
    nothing = {"added": 0, "changed": 0, "removed": 0}
    assert await response.json() == {"zones": nothing, "endpoints": nothing, "raised": 0}


async def test_an_import_becomes_the_registry_at_once(core: Any) -> None:
    rows = "kind,id,zone,name,lat,lon\nspeaker,SPK-9,N2,新,28.1,112.9\n"
    response = await core.ask("POST", f"{REGISTRY}/import", data=rows.encode(), headers={"Content-Type": "text/csv"})
    change = await response.json()
    assert (change["endpoints"]["added"], change["endpoints"]["removed"]) == (1, 0)
    page = await (await core.ask("GET", f"{REGISTRY}/endpoints?zone=N2&channel=speaker")).json()
    assert [item["id"] for item in page["items"]] == ["SPK-3", "SPK-9"]


async def test_a_bad_file_is_refused_row_by_row_and_changes_nothing(core: Any) -> None:
    rows = "kind,id,zone,name\nspeaker,SPK-9,N2,好\nspeaker,SPK-10,NOWHERE,坏\nspeaker,,N2,坏\n"
    response = await core.ask(
        "POST", f"{REGISTRY}/import", data=rows.encode(),
        headers={"Content-Type": "text/csv", "Accept-Language": "zh"},
    )  # fmt: skip
    problem = await response.json()
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert {row["line"] for row in problem["rows"]} == {3, 4}
    assert all(row["detail"] and row["field"] for row in problem["rows"])
    page = await (await core.ask("GET", f"{REGISTRY}/endpoints")).json()
    assert page["total"] == 8


async def test_an_import_of_another_medium_is_415(core: Any) -> None:
    response = await core.ask("POST", f"{REGISTRY}/import", data=b"x", headers={"Content-Type": "application/json"})
    assert response.status == 415


async def test_geojson_that_is_none_names_what_is_wrong(core: Any) -> None:
    body = json.dumps({"type": "Feature"}).encode()
    headers = {"Content-Type": "application/geo+json"}
    response = await core.ask("POST", f"{REGISTRY}/import", data=body, headers=headers)
    problem = await response.json()
    assert (response.status, problem["rows"][0]["field"]) == (422, "type")
