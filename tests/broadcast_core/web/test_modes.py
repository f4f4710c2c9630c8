"""The modes over the API."""

from __future__ import annotations

from typing import Any

ZONE = "430103"


async def test_a_switch_is_answered_shown_and_cleared(core: Any) -> None:
    root = core.services.registry().root.code
    said = {"zones": [root], "mode": "emergency", "reason": "flood"}
    answer = await core.ask("POST", "/api/v1/modes", json=said)
    assert answer.status == 200, await answer.text()
    done = await answer.json()
    assert done["changed"][root] == "emergency"
    shown = await (await core.ask("GET", "/api/v1/modes")).json()
    assert shown["speakers"]["peacetime"] == 0 < shown["speakers"]["emergency"] == done["endpoints"]
    (setting,) = shown["settings"]
    assert (setting["zone"], setting["reason"], setting["actor"]) == (root, "flood", "all-person")
    assert not setting["overdue"]
    cleared = await core.ask("POST", f"/api/v1/modes/{root}/clear", json={"reason": "over"})
    assert (await cleared.json())["changed"][root] == "peacetime"
    assert (await (await core.ask("GET", "/api/v1/modes")).json())["settings"] == []


async def test_refusals_name_the_field(core: Any) -> None:
    for said, status, field in (
        ({"zones": ["nowhere"], "mode": "emergency", "reason": "x"}, 404, None),
        ({"zones": [], "mode": "emergency", "reason": "x"}, 422, "zones"),
        ({"zones": ["x"], "mode": "war", "reason": "x"}, 422, "mode"),
        ({"zones": ["x"], "mode": "emergency"}, 422, "reason"),
        ({"zones": ["x"], "mode": "emergency", "reason": ""}, 422, "reason"),
    ):
        answer = await core.ask("POST", "/api/v1/modes", json=said)
        assert answer.status == status, await answer.text()
        if field is not None:
            assert field in str(await answer.json())


async def test_it_needs_its_own_scope(core: Any) -> None:
    said = {"zones": ["x"], "mode": "emergency", "reason": "x"}
    for name in ("reader", "sender", "stopper", "admin"):
        assert (await core.ask("POST", "/api/v1/modes", json=said, token=name)).status == 403


async def test_its_messages_are_reported_as_alerts_are_and_have_no_cap(core: Any) -> None:
    said = {"zones": ["N"], "mode": "emergency", "reason": "flood"}
    (message,) = (await (await core.ask("POST", "/api/v1/modes", json=said)).json())["messages"]
    report = await core.until_complete(message)
    total = report["revisions"][0]["total"]
    assert (total["targets"], total["rungs"]["finished"]) == (3, 3)
    shown = await (await core.ask("GET", f"/api/v1/alerts/{message}")).json()
    assert shown["message"] is None
    assert shown["report"]["alert_id"] == message
    assert (await core.ask("GET", f"/api/v1/alerts/{message}/cap")).status == 404
    assert (await (await core.ask("GET", "/api/v1/alerts")).json())["items"] == []  # it is no alert
