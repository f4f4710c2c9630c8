"""The OpenAPI document says what the server does: every route, and answers that fit their schemas."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from broadcast_core.audio.pcm import Pcm
from broadcast_core.library import User
from broadcast_core.model import Progress, Reason
from broadcast_core.siren.rows import Event, EventState
from broadcast_core.web.kit import SERVICES

_KINDS: Mapping[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None), "integer": int,
    "number": (int, float),
}  # fmt: skip
_KEYWORDS = {
    "$ref", "type", "properties", "required", "items", "enum", "anyOf", "title", "description", "default", "format",
    "additionalProperties", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "minLength", "maxLength",
}  # fmt: skip


class Checker:
    """JSON Schema (2020-12) as far as the document uses it; a keyword it does not know is a failure."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas = document["components"]["schemas"]

    def check(self, value: Any, schema: Mapping[str, Any], where: str = "$") -> None:
        unknown = schema.keys() - _KEYWORDS
        assert not unknown, f"{where}: keywords {unknown}"
        if "$ref" in schema:
            name = re.fullmatch(r"#/components/schemas/(\w+)", schema["$ref"])
            assert name is not None
            self.check(value, self._schemas[name.group(1)], where)
        if "anyOf" in schema:
            assert any(self._fits(value, option, where) for option in schema["anyOf"]), where
        if "enum" in schema:
            assert value in schema["enum"], f"{where}: {value}"
        if "type" in schema:
            self._check_kind(value, schema["type"], where)
        if schema.get("format") == "date-time":
            assert datetime.fromisoformat(value).tzinfo is not None, where
        for inner, name, what in self._inside(value, schema):
            self.check(inner, what, f"{where}.{name}")

    def _fits(self, value: Any, schema: Mapping[str, Any], where: str) -> bool:
        try:
            self.check(value, schema, where)
        except AssertionError:
            return False
        return True

    @staticmethod
    def _check_kind(value: Any, kind: str, where: str) -> None:
        assert isinstance(value, _KINDS[kind]), f"{where}: {value!r} is no {kind}"
        assert kind == "boolean" or not isinstance(value, bool), where

    @staticmethod
    def _inside(value: Any, schema: Mapping[str, Any]) -> Iterator[tuple[Any, str, Mapping[str, Any]]]:
        if isinstance(value, dict):
            properties = schema.get("properties", {})
            missing = set(schema.get("required", ())) - value.keys()
            assert not missing, missing
            more = schema.get("additionalProperties", True)
            if "properties" in schema and "additionalProperties" not in schema:
                assert value.keys() <= properties.keys(), value.keys() - properties.keys()
            for name, inner in value.items():
                if name in properties:
                    yield inner, name, properties[name]
                elif isinstance(more, dict):
                    yield inner, name, more
        elif isinstance(value, list):
            assert schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
            prefix = schema.get("prefixItems", ())
            for i, inner in enumerate(value):
                what = prefix[i] if i < len(prefix) else schema.get("items", {})
                if isinstance(what, dict):
                    yield inner, str(i), what


@pytest.fixture
async def document(core: Any) -> Any:
    response = await core.ask("GET", "/api/v1/openapi.json", token="reader")
    assert response.status == 200
    return await response.json()


async def test_the_document_is_whole(document: Any) -> None:
    assert document["openapi"].startswith("3.1")
    text = str(document)
    for name in re.findall(r"#/components/schemas/(\w+)", text):
        assert name in document["components"]["schemas"]
    operations = [op for path in document["paths"].values() for op in path.values()]
    identifiers = [op["operationId"] for op in operations]
    assert len(identifiers) == len(set(identifiers))
    assert all(op["summary"] and op["responses"] for op in operations)


async def test_every_route_is_documented_and_every_documented_route_exists(core: Any, document: Any) -> None:
    from broadcast_core.web import make_app

    app = make_app(core.services, core.tokens, core.planner, core.tests, core.sirens)
    assert app[SERVICES] is core.services
    live = {(r.method, r.resource.canonical) for r in app.router.routes() if r.resource is not None}
    written = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert live == written


async def test_every_answer_fits_its_schema(core: Any, document: Any) -> None:
    checker = Checker(document)
    core.speakers.answers = {"SPK-1": (Progress.RECEIVED, Progress.FAILED), "SPK-2": (Progress.STARTED,)}
    core.speakers.reasons["SPK-1"] = Reason.HARDWARE
    alert_id = (await core.send(core.cap(zone="D", channels="speaker,sms")))["alert_id"]
    checked = set()

    async def ask(method: str, path: str, where: str, status: int = 200, **more: Any) -> None:
        response = await core.ask(method, path, **more)
        assert response.status == status, (path, await response.text())
        schema = document["paths"][where][method.lower()]["responses"][str(status)]["content"]
        assert response.content_type in schema, (path, response.content_type)
        if response.content_type.endswith("json") and response.content_type != "application/geo+json":
            checker.check(await response.json(), schema[response.content_type]["schema"], path)
        checked.add((method, where))

    v1, one = "/api/v1", "/api/v1/alerts/{alert_id}"
    cap_headers = {"Content-Type": "application/cap+xml"}
    await ask("POST", f"{v1}/alerts", f"{v1}/alerts", 201, data=core.cap("A-2"), headers=cap_headers)
    await ask("POST", f"{v1}/alerts", f"{v1}/alerts", 200, data=core.cap("A-2"), headers=cap_headers)
    await ask("POST", f"{v1}/alerts", f"{v1}/alerts", 400, data=b"<", headers=cap_headers)
    await ask("POST", f"{v1}/alerts", f"{v1}/alerts", 401, token=None)
    await ask("POST", f"{v1}/alerts", f"{v1}/alerts", 403, token="reader")
    await ask("GET", f"{v1}/alerts", f"{v1}/alerts")
    for path in ("/cap", "/deliveries", "/report", "/report.json", "/report.csv", ""):
        await ask("GET", f"{v1}/alerts/{alert_id}{path}", one + path)
        await ask("GET", f"{v1}/alerts/nobody{path}", one + path, 404)
    await ask("POST", f"{v1}/alerts/{alert_id}/stop", f"{one}/stop")
    await core.express.drain()
    await ask("POST", f"{v1}/alerts/{alert_id}/stop", f"{one}/stop", 409)
    await ask("GET", f"{v1}/alerts/{alert_id}/report", f"{one}/report")
    await ask("GET", f"{v1}/alerts/{alert_id}/deliveries?kind=stop", f"{one}/deliveries")
    await ask("GET", f"{v1}/registry/zones", f"{v1}/registry/zones")
    await ask("GET", f"{v1}/registry/endpoints", f"{v1}/registry/endpoints")
    await ask("GET", f"{v1}/registry/export", f"{v1}/registry/export")
    await ask("GET", f"{v1}/registry/export?format=geojson", f"{v1}/registry/export")
    csv = {"Content-Type": "text/csv"}
    good, bad = b"kind,id,zone,name\nspeaker,SPK-9,N2,x\n", b"kind,id,zone,name\nspeaker,SPK-9,X,x\n"
    await ask("POST", f"{v1}/registry/import", f"{v1}/registry/import", data=good, headers=csv)
    await ask("POST", f"{v1}/registry/import", f"{v1}/registry/import", 422, data=bad, headers=csv)
    switch = {"zones": ["N"], "mode": "emergency", "reason": "flood"}
    await ask("GET", f"{v1}/modes", f"{v1}/modes")
    await ask("POST", f"{v1}/modes", f"{v1}/modes", json=switch)
    await ask("POST", f"{v1}/modes", f"{v1}/modes", 404, json={**switch, "zones": ["nowhere"]})
    await ask("GET", f"{v1}/modes", f"{v1}/modes")
    await ask("POST", f"{v1}/modes/N/clear", f"{v1}/modes/{{zone}}/clear", json={"reason": "over"})
    schedule = f"{v1}/schedule"
    playlist = {"name": "News", "items": ["news"]}
    slot = {"name": "Morning", "zones": ["N"], "start": "08:00", "length_s": 1800, "playlist": "p", "volume": 60,
            "recurrence": {"rule": "daily"}}  # fmt: skip
    await ask("PUT", f"{schedule}/playlists/p", f"{schedule}/playlists/{{playlist_id}}", json=playlist)
    await ask("PUT", f"{schedule}/slots/s", f"{schedule}/slots/{{slot_id}}", json=slot)
    await ask("PUT", f"{schedule}/slots/s", f"{schedule}/slots/{{slot_id}}", 422, json={**slot, "volume": 101})
    await ask("GET", f"{schedule}/slots/s", f"{schedule}/slots/{{slot_id}}")
    await ask("GET", schedule, schedule)
    await ask("GET", f"{schedule}/check", f"{schedule}/check")
    await ask("GET", f"{schedule}/preview?zone=N1&date=2026-03-04", f"{schedule}/preview")
    await ask("POST", f"{schedule}/preview?zone=N1&date=2026-03-04", f"{schedule}/preview", json={**slot, "id": "t"})
    await ask("GET", f"{v1}/plays?first=2026-03-04", f"{v1}/plays")
    exported = await core.ask("GET", f"{v1}/schedule.ics")
    await ask("GET", f"{v1}/schedule.ics", f"{v1}/schedule.ics")
    calendar = {"Content-Type": "text/calendar"}
    imports = f"{schedule}/import"
    file = (await exported.text()).encode()
    await ask("POST", f"{imports}?dry_run=true", imports, data=file, headers=calendar)
    await ask("POST", imports, imports, 400, data=b"BEGIN:", headers=calendar)
    kindness, own = f"{v1}/kindness", {"quiet": [{"start": "20:00", "end": "08:00"}], "budget": 5}
    await ask("PUT", kindness, kindness, json={"no_repeat_s": 60})
    await ask("PUT", f"{kindness}/N", f"{kindness}/{{zone}}", json=own)
    await ask("PUT", f"{kindness}/nowhere", f"{kindness}/{{zone}}", 404, json=own)
    await ask("GET", kindness, kindness)
    await ask("DELETE", kindness, kindness)
    await ask("DELETE", f"{kindness}/N", f"{kindness}/{{zone}}")
    days, day = f"{v1}/calendar", f"{v1}/calendar/{{date}}"
    await ask("PUT", f"{days}/2026-03-04", day, json={"kind": "rest", "name": "x"})
    await ask("GET", f"{days}?first=2026-03-01&last=2026-03-31", days)
    await ask("DELETE", f"{days}/2026-03-04", day)
    await ask("DELETE", f"{days}/2026-03-04", day, 404)
    await ask("DELETE", f"{schedule}/playlists/p", f"{schedule}/playlists/{{playlist_id}}", 409)
    await ask("DELETE", f"{schedule}/slots/s", f"{schedule}/slots/{{slot_id}}")
    await ask("DELETE", f"{schedule}/playlists/p", f"{schedule}/playlists/{{playlist_id}}")
    tested, act, days = f"{v1}/selftest", f"{v1}/sirens/act", f"{v1}/sirens/calendar"
    await ask("POST", f"{tested}/run", f"{tested}/run", 202, json={"zone": "N1"})
    await ask("POST", f"{tested}/audible", f"{tested}/audible", 422, json={"zone": "D"})
    await core.tester.step()
    await ask("GET", tested, tested)
    await ask("GET", f"{tested}/results?endpoint=SPK-1", f"{tested}/results")
    await ask("GET", act, act)
    yearly = {"template": "yearly-test", "area": ["district"]}
    await ask("POST", act, act, 201, json=yearly)
    await ask("POST", act, act, 409, json=yearly)
    await ask("POST", f"{act}/next", f"{act}/next", json={})
    await ask("POST", f"{act}/stop", f"{act}/stop", json={})
    await ask("GET", act, act)
    await core.express.drain()
    event = Event(
        template="changsha-1-november", date=date(datetime.now(UTC).year + 1, 11, 1), state=EventState.PROPOSED,
        digest="", proposed_at=datetime.now(UTC),
    )  # fmt: skip
    await core.sirens.keep_event(event, "siren.propose", "test")
    one_day, day = f"{days}/{{template}}/{{date}}", f"{days}/changsha-1-november/{event.date.isoformat()}"
    await ask("POST", f"{day}/confirm", f"{one_day}/confirm", json={})
    await ask("GET", days, days)
    await ask("POST", f"{day}/withdraw", f"{one_day}/withdraw", json={})
    await ask("POST", f"{day}/confirm", f"{one_day}/confirm", 409, json={})
    await ask("GET", f"{v1}/me", f"{v1}/me")
    await ask("GET", f"{v1}/tokens", f"{v1}/tokens")
    await ask("POST", f"{v1}/tokens", f"{v1}/tokens", 201, json={"actor": "x", "scopes": ["read"]})
    token_id = next(token.id for token in core.tokens if token.actor == "x")
    await ask("DELETE", f"{v1}/tokens/{token_id}", f"{v1}/tokens/{{token_id}}")
    media, item = f"{v1}/media", f"{v1}/media/{{item_id}}"
    beep = Pcm(rate=8000, samples=bytes((0, 0, 0, 32) * 8000)).to_wav()
    await ask("POST", f"{media}?title=x", media, 201, data=beep)
    await ask("POST", f"{media}?title=x", media, 200, data=beep)
    await ask("POST", f"{media}?title=x", media, 422, data=b"#EXTM3U")
    words = {"title": "x", "texts": [{"language": "en", "text": "Good morning."}]}
    await ask("POST", f"{media}/text", f"{media}/text", 201, json=words)
    await ask("GET", media, media)
    found = (await (await core.ask("GET", media)).json())["items"][0]["id"]
    await ask("GET", f"{media}/{found}", item)
    await ask("GET", f"{media}/{found}/audio", f"{item}/audio")
    await ask("PATCH", f"{media}/{found}", item, json={"title": "y"})
    core.users[found] = [User(kind="playlist", id="p")]
    await ask("DELETE", f"{media}/{found}", item, 409)
    core.users.clear()
    await ask("DELETE", f"{media}/{found}", item)
    await ask("DELETE", f"{media}/{found}", item, 404)
    await ask("GET", f"{v1}/openapi.json", f"{v1}/openapi.json")
    await ask("GET", "/healthz", "/healthz", token=None)
    await ask("GET", "/metrics", "/metrics", token=None)
    streams = {("GET", f"{one}/events"), ("GET", f"{v1}/events")}
    everything = {(m.upper(), path) for path, item in document["paths"].items() for m in item}
    assert everything - checked == streams
