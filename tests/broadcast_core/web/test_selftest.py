"""Self-tests and sirens over the API: who may, what is answered, and that the numbers add up."""

from __future__ import annotations

from typing import Any

from broadcast_core.model import Channel, SelfTest, Start


async def test_a_run_is_tested_in_silence_and_its_numbers_show(core: Any) -> None:
    answer = await core.ask("POST", "/api/v1/selftest/run", json={"endpoints": ["SPK-1", "HRN-1"]})
    assert answer.status == 202
    occasion = (await answer.json())["occasion"]

    async def over() -> list[dict[str, Any]]:
        await core.tester.step()
        found = await core.ask("GET", f"/api/v1/selftest/results?occasion={occasion}")
        items: list[dict[str, Any]] = (await found.json())["items"]
        return items if all(i["ended_at"] for i in items) else []

    items = await core.until(over)
    assert {type(d.order) for d in core.speakers.sent} == {SelfTest}
    assert core.field_of[Channel.SMS].sent == []
    assert {i["endpoint_id"]: i["outcome"] for i in items} == {"SPK-1": "proven", "HRN-1": "proven"}
    shown = await (await core.ask("GET", "/api/v1/selftest?zone=N")).json()
    assert [z["zone"] for z in shown["zones"]] == ["N", "N1", "N2"]
    north = shown["zones"][0]["channels"]
    assert (north["speaker"]["endpoints"], north["speaker"]["simulated"], north["speaker"]["proven_24h"]) == (3, 1, 1)
    assert north["horn"]["share_24h"] == 1.0
    assert shown["account"] is None
    metrics = await (await core.ask("GET", "/metrics")).text()
    assert 'tocsin_selftest_endpoints{channel="speaker",proven="24h"} 1.0' in metrics
    assert 'tocsin_selftest_endpoints{channel="speaker",proven="never"} 3.0' in metrics


async def test_who_may_not_and_what_is_refused(core: Any) -> None:
    for path, body in (
        ("selftest/run", {}), ("selftest/audible", {"endpoints": ["SPK-1"]}),
        ("sirens/act", {"template": "yearly-test", "area": ["district"]}), ("sirens/act/next", {}),
    ):  # fmt: skip
        assert (await core.ask("POST", f"/api/v1/{path}", json=body, token="reader")).status == 403
        assert (await core.ask("POST", f"/api/v1/{path}", json=body, token="admin")).status == 403
    for body, status in (
        ({"endpoints": ["SPK-9"]}, 404),
        ({"zone": "X"}, 404),
        ({"endpoints": ["SMS-1"]}, 422),
        ({"endpoint": ["SPK-1"]}, 422),
    ):
        assert (await core.ask("POST", "/api/v1/selftest/run", json=body)).status == status
    assert (await core.ask("POST", "/api/v1/sirens/act", json={"template": "x", "area": ["district"]})).status == 404
    assert (await core.ask("POST", "/api/v1/sirens/act/stop", json={})).status == 409
    assert (await core.ask("POST", "/api/v1/sirens/calendar/x/2026-11-01/confirm", json={})).status == 404
    assert (await core.ask("POST", "/api/v1/sirens/calendar/x/someday/confirm", json={})).status == 404
    assert all(not field.sent for field in core.field_of.values())


async def test_an_act_over_the_api_says_what_it_is(core: Any) -> None:
    body = {"template": "yearly-test", "area": ["district"]}
    answer = await core.ask("POST", "/api/v1/sirens/act", json=body, token="sender")
    assert answer.status == 201, await answer.text()
    act = await answer.json()
    assert (act["test"], act["running"], act["following"]) == (True, True, 1)
    start: Start = core.speakers.sent[-1].order
    said = dict(start.content.text)  # type: ignore[union-attr]
    assert "不是真实警报" in said["zh-CN"]
    assert "not a real alert" in said["en-US"]
    assert (await core.ask("POST", "/api/v1/sirens/act", json=body, token="sender")).status == 409
    stopped = await core.ask("POST", "/api/v1/sirens/act/stop", json={}, token="stopper")
    assert (await stopped.json())["running"] is False
    shown = (await (await core.ask("GET", "/api/v1/sirens/act", token="reader")).json())["act"]
    assert (shown["id"], shown["ended_by"]) == (act["id"], "stopper-person")


async def test_a_self_test_is_no_alert_that_somebody_could_mean_to_stop(core: Any) -> None:
    core.speakers.answers["SPK-1"] = ()
    await core.ask("POST", "/api/v1/selftest/run", json={"endpoints": ["SPK-1"]})
    await core.tester.step()
    assert [live.kind for live in core.services.live] == ["test"]
    async with core.http.get(f"{core.url}/api/v1/events", headers=core.bearer()) as stream:
        async for line in stream.content:
            if line.startswith(b"data:"):
                break
    assert b'"alerts":[]' in line
