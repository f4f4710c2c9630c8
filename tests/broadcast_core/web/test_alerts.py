"""Alerts over HTTP: in, seen, stopped."""

from __future__ import annotations

import asyncio
import sqlite3
from typing import Any

from lxml import etree

from broadcast_core import cap
from broadcast_core.model import Channel, Progress, Reason

ALERTS = "/api/v1/alerts"


async def test_an_alert_goes_in_and_every_endpoint_is_in_its_report(core: Any) -> None:
    accepted = await core.send(core.cap(channels="speaker,sms"))
    assert accepted["targets"] == {"speaker": 2, "sms": 1}
    assert accepted["simulated"] == 1
    report = await core.until_complete(accepted["alert_id"])
    channels = report["revisions"][0]["channels"]
    assert channels["speaker"]["rungs"] == {"sent": 2, "received": 2, "started": 2, "finished": 2, "heard": 0}
    assert channels["speaker"]["proof"]["finished"] == 1
    assert channels["sms"]["rungs"] == {"sent": 1, "received": 1, "finished": 1}
    assert [row["endpoint_id"] for row in report["deliveries"]] == ["SMS-1", "SPK-1", "SPK-2"]


async def test_a_new_alert_is_201_with_its_place_and_a_repeated_one_200(core: Any) -> None:
    headers = {"Content-Type": "application/cap+xml", "Idempotency-Key": "key-1"}
    first = await core.ask("POST", ALERTS, data=core.cap(), headers=headers)
    again = await core.ask("POST", ALERTS, data=core.cap(), headers=headers)
    assert (first.status, again.status) == (201, 200)
    one, two = await first.json(), await again.json()
    assert first.headers["Location"] == again.headers["Location"] == f"{ALERTS}/{one['alert_id']}"
    assert one["alert_id"] == two["alert_id"]
    assert (one["repeated"], two["repeated"]) == (False, True)
    assert (await core.ask("GET", first.headers["Location"])).status == 200


async def test_the_same_key_for_another_request_is_refused(core: Any) -> None:
    headers = {"Content-Type": "application/cap+xml", "Idempotency-Key": "key-1"}
    await core.send(core.cap("A-1"), headers=headers)
    for other in (
        await core.ask("POST", ALERTS, data=core.cap("A-2"), headers=headers),
        await core.ask("POST", f"{ALERTS}?area=zone:S1", data=core.cap("A-1"), headers=headers),
    ):
        assert other.status == 409
        assert (await other.json())["reason"] == "idempotency_key_reused"


async def test_an_area_in_the_query_aims_the_alert_elsewhere(core: Any) -> None:
    accepted = await core.send(core.cap(zone="N1"), path=f"{ALERTS}?area=zone:N2&area=endpoint:SPK-4")
    rows = (await core.report(accepted["alert_id"]))["deliveries"]
    assert [row["endpoint_id"] for row in rows] == ["SPK-3", "SPK-4"]


async def test_a_misspelt_parameter_never_widens_an_alert(core: Any) -> None:
    response = await core.ask(
        "POST", f"{ALERTS}?aera=zone:N2", data=core.cap(zone="D"), headers={"Content-Type": "application/cap+xml"}
    )
    problem = await response.json()
    assert response.status == 422
    assert (problem["reason"], problem["field"]) == ("unknown_element", "query.aera")
    assert "area" in problem["detail"]
    assert (await (await core.ask("GET", ALERTS)).json())["items"] == []


async def test_json_is_taken_as_well_and_a_key_that_comes_twice_is_not(core: Any) -> None:
    alert = cap.parse_xml(core.cap()).alert
    body = cap.encode_json(alert)
    accepted = await core.send(body, headers={"Content-Type": "application/json"})
    assert accepted["targets"] == {"speaker": 2}
    doubled = body.replace(b'"status"', b'"status":"Test","status"', 1)
    response = await core.ask("POST", ALERTS, data=doubled, headers={"Content-Type": "application/json"})
    assert response.status == 422
    assert (await response.json())["reason"] == "duplicate_element"


async def test_a_refusal_names_field_and_reason_in_the_readers_language(core: Any) -> None:
    headers = {"Content-Type": "application/cap+xml", "Accept-Language": "zh-CN,zh;q=0.9"}
    body = core.cap().replace(b"<status>Actual</status>", b"<status>Exercise</status>")
    response = await core.ask("POST", ALERTS, data=body, headers=headers)
    problem = await response.json()
    assert response.status == 422
    assert response.content_type == "application/problem+json"
    assert response.headers["Content-Language"] == "zh"
    assert problem["type"] == "urn:tocsin:problem:status_not_allowed"
    assert problem["field"] == "status"
    assert problem["status"] == 422


async def test_what_is_not_xml_is_400_and_another_medium_415(core: Any) -> None:
    broken = await core.ask("POST", ALERTS, data=b"<alert", headers={"Content-Type": "text/xml"})
    assert (broken.status, (await broken.json())["reason"]) == (400, "malformed")
    other = await core.ask("POST", ALERTS, data=b"x=1", headers={"Content-Type": "text/plain"})
    assert (other.status, (await other.json())["type"]) == (415, "about:blank")


async def test_alerts_are_listed_newest_first_in_pages(core: Any) -> None:
    for number in range(5):
        await core.send(core.cap(f"A-{number}", headline=f"第 {number}"))
    seen, before = [], ""
    while before is not None:
        page = await (await core.ask("GET", f"{ALERTS}?limit=2{before and f'&before={before}'}")).json()
        seen += [item["headline"] for item in page["items"]]
        before = page["following"]
    assert seen == [f"第 {n}" for n in (4, 3, 2, 1, 0)]
    unknown = await core.ask("GET", f"{ALERTS}?before=nobody")
    assert unknown.status == 404


async def test_an_alert_is_shown_with_its_message(core: Any) -> None:
    accepted = await core.send(core.cap())
    shown = await (await core.ask("GET", f"{ALERTS}/{accepted['alert_id']}")).json()
    assert shown["message"]["identifier"] == "A-1"
    assert shown["report"]["revisions"][0]["event"] == "暴雨"
    assert shown["report"]["deliveries"] == []


async def test_the_message_comes_back_as_xml_equal_to_what_was_sent(core: Any) -> None:
    accepted = await core.send(core.cap())
    response = await core.ask("GET", f"{ALERTS}/{accepted['alert_id']}/cap")
    assert response.content_type == "application/cap+xml"
    assert cap.parse_xml((await response.text()).encode()).alert == cap.parse_xml(core.cap()).alert


async def test_each_revision_keeps_its_own_message(core: Any) -> None:
    first = cap.parse_xml(core.cap()).alert
    accepted = await core.send(core.cap())
    sent = first.sent.strftime("%Y-%m-%dT%H:%M:%S+00:00")
    await core.send(core.cap("A-2", msg_type="Update", references=f"duty@tianxin,A-1,{sent}", headline="更新"))
    path = f"{ALERTS}/{accepted['alert_id']}/cap"
    for query, identifier in (("", "A-2"), ("?revision=1", "A-1"), ("?revision=2", "A-2")):
        root = etree.fromstring((await (await core.ask("GET", path + query)).text()).encode())
        assert root.findtext("{*}identifier") == identifier
    assert (await core.ask("GET", path + "?revision=3")).status == 404


async def test_deliveries_are_filtered_and_paged(core: Any) -> None:
    core.speakers.answers["SPK-1"] = (Progress.RECEIVED, Progress.FAILED)
    core.speakers.reasons["SPK-1"] = Reason.HARDWARE
    accepted = await core.send(core.cap(zone="D", channels="speaker,sms"))
    await core.until_complete(accepted["alert_id"])
    path = f"{ALERTS}/{accepted['alert_id']}/deliveries"

    async def ids(query: str) -> list[str]:
        page = await (await core.ask("GET", f"{path}?{query}")).json()
        return [row["endpoint_id"] for row in page["items"]]

    assert await ids("channel=sms") == ["SMS-1", "SMS-2"]
    assert await ids("state=failed&channel=speaker") == ["SPK-1", "SPK-5"]  # out of service: failed from the start
    assert await ids("zone=N") == ["SMS-1", "SPK-1", "SPK-2", "SPK-3"]
    assert await ids("limit=2&after=SPK-2") == ["SPK-3", "SPK-4"]
    refused = await core.ask("GET", f"{path}?limit=0")
    assert (refused.status, (await refused.json())["field"]) == (422, "query.limit")


async def test_a_stop_ends_the_alert_and_says_who_took_it(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.RECEIVED, Progress.STARTED), "SPK-2": (Progress.RECEIVED,)}
    accepted = await core.send(core.cap())
    alert_id = accepted["alert_id"]

    async def started() -> bool:
        states = (await core.report(alert_id))["revisions"][0]["channels"]["speaker"]["states"]
        return bool(states["started"] == 1 and states["received"] == 1)

    await core.until(started)
    response = await core.ask("POST", f"{ALERTS}/{alert_id}/stop", json={"reason": "误报"}, token="stopper")
    assert response.status == 200, await response.text()
    stopped = await response.json()
    assert stopped["endpoints"] == {"speaker": 2}
    assert stopped["taken"] == {"speaker": True}
    assert stopped["journaled"] is True

    async def recorded() -> Any:
        return (await core.report(alert_id))["revisions"][0]["silence"]

    await core.express.drain()
    silence = await core.until(recorded)
    report = await core.report(alert_id)
    assert silence["channels"]["speaker"]["told"] == silence["total"]["told"] == 2
    assert [m["detail"]["reason"] for m in report["timeline"] if m["what"] == "alert.stop"] == ["误报"]
    assert report["revisions"][0]["ended"]["by"] == "stopper-person"
    again = await core.ask("POST", f"{ALERTS}/{alert_id}/stop")
    assert (again.status, (await again.json())["reason"]) == (409, "not_live")


async def test_a_stop_goes_out_while_the_database_is_locked(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.RECEIVED, Progress.STARTED), "SPK-2": (Progress.STARTED,)}
    alert_id = (await core.send(core.cap()))["alert_id"]

    async def received() -> bool:
        return core.services.live.get(alert_id, 1).tally[Channel.SPEAKER, "start", Progress.STARTED] == 2

    await core.until(received)
    before = len(core.speakers.sent)
    locker = sqlite3.connect(core.database, isolation_level=None)
    locker.execute("BEGIN EXCLUSIVE")
    try:
        response = await core.ask("POST", f"{ALERTS}/{alert_id}/stop", token="stopper")
        assert response.status == 200
        assert {d.endpoint.id for d in core.speakers.sent[before:]} == {"SPK-1", "SPK-2"}
    finally:
        locker.execute("ROLLBACK")
        locker.close()


async def test_a_stop_with_a_broken_body_is_a_stop(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.STARTED,), "SPK-2": (Progress.STARTED,)}
    for number, body in enumerate((b"{", b'{"reason": 1}', b'{"reason":"a","reason":"b"}', b"x" * 20_000)):
        alert_id = (await core.send(core.cap(f"A-{number}")))["alert_id"]
        response = await core.ask("POST", f"{ALERTS}/{alert_id}/stop", data=body)
        assert response.status == 200
        assert (await response.json())["note"]
    await core.express.drain()


async def test_a_stop_does_not_wait_for_a_body_that_never_comes(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.STARTED,), "SPK-2": (Progress.STARTED,)}
    alert_id = (await core.send(core.cap()))["alert_id"]
    reader, writer = await asyncio.open_connection(*core.address)
    head = f"POST {ALERTS}/{alert_id}/stop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n"
    writer.write((head + f"Authorization: {core.bearer()['Authorization']}\r\n\r\n{{").encode())
    async with asyncio.timeout(10):
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()
    await core.express.drain()


async def test_what_is_not_there_is_404_for_every_question(core: Any) -> None:
    for method, path in (
        ("GET", ""), ("GET", "/cap"), ("GET", "/deliveries"), ("GET", "/report"), ("GET", "/report.json"),
        ("GET", "/report.csv"), ("GET", "/events"), ("POST", "/stop"),
    ):  # fmt: skip
        response = await core.ask(method, f"{ALERTS}/nobody{path}")
        assert response.status == 404, path
        assert (await response.json())["type"] == "urn:tocsin:problem:not_found"


async def test_numbers_that_no_database_holds_are_refused_by_name(core: Any) -> None:
    for query in ("revision=9223372036854775808", "revision=99999999999999999999999"):
        for path in ("cap", "deliveries"):
            answer = await core.ask("GET", f"/api/v1/alerts/x/{path}?{query}")
            assert answer.status == 422
            assert (await answer.json())["field"] == "query.revision"
