"""Who may what, and what strangers get."""

from __future__ import annotations

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broadcast_core.model import Progress
from broadcast_core.tokens import TokenScope
from broadcast_core.web.api import ROUTES
from broadcast_core.web.route import Access

OPEN = {"/healthz", "/metrics"}


def path_of(route: Any) -> str:
    return str(route.path.format(alert_id="x", token_id="x", item_id="x"))


async def test_without_a_token_only_health_and_metrics_answer(core: Any) -> None:
    responses = await asyncio.gather(*(core.ask(r.method, path_of(r), token=None) for r in ROUTES))
    for route, response in zip(ROUTES, responses, strict=True):
        if route.path in OPEN:
            assert response.status == 200, route.path
        else:
            assert response.status == 401, route.path
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await response.json())["type"] == "urn:tocsin:problem:unauthenticated"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic dG9jc2luOnRvY3Npbg==", "Bearer tcs_", "Bearer tcs_0_x", "Bearer \udcff_a_b"],
)
async def test_what_is_no_token_is_refused(core: Any, header: str) -> None:
    response = await core.ask("GET", "/api/v1/me", token=None, headers={"Authorization": header})
    assert response.status == 401


async def test_a_token_with_one_character_changed_is_refused(core: Any) -> None:
    text = core.texts["all"]
    changed = text[:-1] + ("A" if text[-1] != "A" else "B")
    response = await core.ask("GET", "/api/v1/me", token=None, headers={"Authorization": f"Bearer {changed}"})
    assert response.status == 401


async def test_each_route_wants_its_scope_and_no_other_gives_it(core: Any) -> None:
    names = {"reader": TokenScope.READ, "sender": TokenScope.ALERT_SEND, "stopper": TokenScope.ALERT_STOP}
    for route, (name, scope) in itertools.product(ROUTES, names.items()):
        endless = route.path.endswith("/v1/events") and route.access is scope
        if endless or route.access in (Access.ANYBODY, Access.ANY_TOKEN):
            continue
        response = await core.ask(route.method, path_of(route), token=name)
        assert (response.status == 403) == (route.access is not scope), (route.path, name)
        if response.status == 403:
            assert route.access.value in (await response.json())["detail"]


async def test_many_wrong_tokens_do_not_keep_a_valid_one_out(core: Any) -> None:
    async def wrong() -> int:
        headers = {"Authorization": "Bearer tcs_0011223344556677_wrong"}
        return (await core.ask("GET", "/api/v1/me", token=None, headers=headers)).status

    async with asyncio.timeout(30):
        guessing = [asyncio.create_task(wrong()) for _ in range(200)]
        right = await core.ask("GET", "/api/v1/me")
        assert right.status == 200
        assert set(await asyncio.gather(*guessing)) == {401}


async def test_a_token_says_who_it_is(core: Any) -> None:
    me = await (await core.ask("GET", "/api/v1/me", token="reader")).json()
    assert (me["actor"], me["scopes"]) == ("reader-person", ["read"])


async def test_a_token_is_made_used_and_revoked(core: Any) -> None:
    wanted = {"actor": "李值班", "scopes": ["read", "alert:stop"]}
    made = await core.ask("POST", "/api/v1/tokens", json=wanted)
    assert made.status == 201
    issued = await made.json()
    core.texts["new"] = issued["text"]
    assert (await core.ask("GET", "/api/v1/alerts", token="new")).status == 200
    listed = await (await core.ask("GET", "/api/v1/tokens")).json()
    assert "李值班" in {token["actor"] for token in listed["items"]}
    assert issued["text"] not in str(listed)
    assert (await core.ask("DELETE", made.headers["Location"])).status == 200
    assert (await core.ask("GET", "/api/v1/alerts", token="new")).status == 401
    assert (await core.ask("DELETE", "/api/v1/tokens/nobody")).status == 404


async def test_an_administrator_cannot_make_a_token_that_may_more(core: Any) -> None:
    wanted = {"actor": "x", "scopes": ["admin", "alert:send"]}
    response = await core.ask("POST", "/api/v1/tokens", json=wanted, token="admin")
    problem = await response.json()
    assert (response.status, problem["field"]) == (403, "scopes")
    assert "alert:send" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "malformed"),
        (b'{"actor":"a","actor":"b","scopes":["read"]}', "duplicate_element"),
        (b'{"actor":"a","scopes":["everything"]}', "invalid_value"),
        (b'{"actor":"a","scopes":[]}', "invalid_value"),
        (b'{"actor":"","scopes":["read"]}', "invalid_value"),
        (b'{"actor":"a","scopes":["read"],"more":1}', "invalid_value"),
        (b'{"actor":"a","scopes":["read"],"expires":"2020-01-01T00:00:00Z"}', "invalid_value"),
        (b'{"actor":"a","scopes":["read"],"expires":"2099-01-01T00:00:00"}', "invalid_value"),
        (b"[" * 5000, "malformed"),
    ],
)
async def test_a_bad_request_for_a_token_is_refused_with_its_reason(core: Any, body: bytes, reason: str) -> None:
    response = await core.ask("POST", "/api/v1/tokens", data=body)
    assert (await response.json())["reason"] == reason
    assert response.status in (400, 422)


async def test_an_expired_token_is_none(core: Any) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    _token, core.texts["short"] = await core.tokens.issue(actor="x", scopes=[TokenScope.READ], expires=soon, by="t")

    async def expired() -> bool:
        return bool((await core.ask("GET", "/api/v1/me", token="short")).status == 401)

    await core.until(expired)


async def test_every_act_leaves_the_name_of_its_token(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.STARTED,), "SPK-2": (Progress.STARTED,)}
    accepted = await core.send(core.cap(), token="sender")
    await core.ask("POST", f"/api/v1/alerts/{accepted['alert_id']}/stop", token="stopper")
    await core.express.drain()
    acts = [(m["what"], m["actor"]) for m in (await core.report(accepted["alert_id"]))["timeline"] if m["actor"]]
    assert acts == [("alert.begin", "sender-person"), ("alert.stop", "stopper-person")]


async def test_answers_are_not_cached_and_not_sniffed(core: Any) -> None:
    for path in ("/healthz", "/api/v1/alerts", "/api/v1/nothing"):
        response = await core.ask("GET", path)
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_an_unknown_path_and_an_unknown_method_are_told_apart(core: Any) -> None:
    nothing = await core.ask("GET", "/api/v1/nothing")
    assert (nothing.status, (await nothing.json())["type"]) == (404, "urn:tocsin:problem:not_found")
    method = await core.ask("PUT", "/api/v1/alerts")
    assert (method.status, method.headers["Allow"]) == (405, "GET, POST")
    assert (await method.json())["type"] == "about:blank"
