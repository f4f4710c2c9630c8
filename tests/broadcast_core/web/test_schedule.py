"""The schedule, kindness, calendar, files and proof of play over the API."""

from __future__ import annotations

from typing import Any

import pytest

V1 = "/api/v1"
SCHEDULE = f"{V1}/schedule"
SLOT = {
    "name": "Morning", "zones": ["N"], "start": "08:00", "length_s": 1800, "playlist": "p", "volume": 60,
    "recurrence": {"rule": "daily"},
}  # fmt: skip
DAY = "2026-12-02"  # a Wednesday
ICS = {"Content-Type": "text/calendar"}
THEIRS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Somebody//Else//EN
BEGIN:VEVENT
UID:exercise@school.example
DTSTAMP:20261101T000000Z
DTSTART;TZID=Asia/Shanghai:20261130T100000
DURATION:PT30M
RRULE:FREQ=WEEKLY;BYDAY=MO,WE
SUMMARY:Exercise
END:VEVENT
BEGIN:VTODO
UID:todo@school.example
SUMMARY:Buy chalk
END:VTODO
END:VCALENDAR
""".replace("\n", "\r\n").encode()


async def said(core: Any, method: str, path: str, status: int = 200, **more: Any) -> Any:
    answer = await core.ask(method, path, **more)
    assert answer.status == status, await answer.text()
    return await answer.json()


@pytest.fixture
async def playlist(core: Any) -> None:
    await said(core, "PUT", f"{SCHEDULE}/playlists/p", json={"name": "News", "items": ["news"]})


async def slots(core: Any) -> list[str]:
    return [slot["id"] for slot in (await said(core, "GET", SCHEDULE))["slots"]]


async def test_a_slot_comes_back_as_it_was_saved(core: Any, playlist: None) -> None:
    assert (await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT))["id"] == "s"
    found = await said(core, "GET", f"{SCHEDULE}/slots/s")
    assert {name: found[name] for name in SLOT} == SLOT | {"start": "08:00:00", "recurrence": found["recurrence"]}
    assert found["recurrence"]["rule"] == "daily"
    created = found["created_at"]
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT | {"volume": 20})  # without created_at
    changed = await said(core, "GET", f"{SCHEDULE}/slots/s")
    assert (changed["volume"], changed["created_at"]) == (20, created)
    await said(core, "DELETE", f"{SCHEDULE}/slots/s")
    await said(core, "GET", f"{SCHEDULE}/slots/s", 404)
    await said(core, "DELETE", f"{SCHEDULE}/slots/s", 404)


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"volume": 101}, 422, "slots.s.volume"),
        ({"volume": "loud"}, 422, "slot.volume"),
        ({"zones": []}, 422, "slots.s.zones"),
        ({"zones": ["nowhere"]}, 422, "slots.s.zones"),
        ({"playlist": "q"}, 404, "slots.s.playlist"),
        ({"start": "25:00"}, 422, "slot.start"),
        ({"start": None}, 422, "slots.s.start"),
        ({"length_s": 60}, 413, "slots.s.length"),  # the playlist takes ten minutes
        ({"recurrence": {"rule": "dates", "dates": ["2020-01-01"]}}, 422, "slots.s.recurrence"),
        ({"recurrence": {"rule": "cron", "expression": "* * * * *"}, "start": None}, 422,
         "slots.s.recurrence.expression"),
        ({"recurrence": {"rule": "sometimes"}}, 422, "slot.recurrence.rule"),
        ({"authority": "king"}, 422, "slot.authority"),
        ({"loudness": 1}, 422, "slot.loudness"),
        ({"id": "t"}, 422, "id"),
    ],
)  # fmt: skip
async def test_a_slot_is_refused_with_its_field_and_nothing_is_saved(
    core: Any, playlist: None, change: dict[str, Any], status: int, field: str
) -> None:
    for language in ("en", "zh"):
        headers = {"Accept-Language": language}
        problem = await said(core, "PUT", f"{SCHEDULE}/slots/s", status, json=SLOT | change, headers=headers)
        assert (problem["field"], bool(problem["detail"])) == (field, True)
    assert await slots(core) == []


@pytest.mark.parametrize("body", [b"[]", b"{", b"7", b'{"name": "a", "name": "b"}'])
async def test_what_is_no_slot_at_all_is_refused(core: Any, body: bytes) -> None:
    for path in (f"{SCHEDULE}/slots/s", f"{SCHEDULE}/playlists/p"):
        answer = await core.ask("PUT", path, data=body, headers={"Content-Type": "application/json"})
        assert answer.status in (400, 422)


async def test_a_playlist_is_refused_with_its_field(core: Any) -> None:
    for change, field in (
        ({"items": []}, "items"),
        ({"items": ["news", "gone"]}, "items"),
        ({"chime": "gone"}, "items"),
    ):
        status = 422 if not change.get("items", True) else 404
        body = {"name": "News", "items": ["news"]} | change
        problem = await said(core, "PUT", f"{SCHEDULE}/playlists/q", status, json=body)
        assert problem["field"] == f"playlists.q.{field}"


async def test_a_playlist_in_use_stays(core: Any, playlist: None) -> None:
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT)
    problem = await said(core, "DELETE", f"{SCHEDULE}/playlists/p", 409)
    assert problem["reason"] == "in_use"
    assert "Morning" in problem["detail"]


async def test_a_draft_is_shown_and_saved_by_nobody(core: Any, playlist: None) -> None:
    where = f"{SCHEDULE}/preview?zone=N1&date={DAY}"
    draft = await said(core, "POST", where, json=SLOT | {"id": "draft"}, token="reader")
    (segment,) = draft["segments"]
    assert (segment["slot"], segment["item"], segment["starts_at"]) == ("draft", "news", "2026-12-02T00:00:00Z")
    assert draft["timezone"] == "Asia/Shanghai"
    assert await slots(core) == []
    assert (await said(core, "GET", where))["segments"] == []
    problem = await said(core, "POST", where, 422, json=SLOT | {"id": "draft", "volume": 0})
    assert problem["field"] == "slots.draft.volume"
    await said(core, "GET", f"{SCHEDULE}/preview?zone=nowhere", 404)
    for far in ("0001-01-01", "9999-12-31"):
        await said(core, "GET", f"{SCHEDULE}/preview?zone=N1&date={far}", 422)


async def test_an_overlap_is_a_warning_and_the_preview_says_who_wins(core: Any, playlist: None) -> None:
    await said(core, "PUT", f"{SCHEDULE}/slots/a", json=SLOT)
    saved = await said(core, "PUT", f"{SCHEDULE}/slots/b", json=SLOT | {"name": "Town", "start": "08:05"})
    overlap = [w for w in saved["warnings"] if w["problem"] == "overlap"]
    assert [(w["refused"], w["slot"], w["field"]) for w in overlap] == [(False, "b", "slots.b.start")]
    day = await said(core, "GET", f"{SCHEDULE}/preview?zone=N1&date={DAY}")
    (conflict,) = day["conflicts"]
    assert (conflict["winner"], conflict["loser"]) == (f"a/{DAY}", f"b/{DAY}")
    assert conflict["because"] == "began_first"
    findings = (await said(core, "GET", f"{SCHEDULE}/check"))["findings"]
    assert "overlap" in [f["problem"] for f in findings]


async def test_the_schedule_is_locked_where_there_is_an_emergency(core: Any, playlist: None) -> None:
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT)
    await said(core, "PUT", f"{SCHEDULE}/slots/south", json=SLOT | {"zones": ["S"]})
    await said(core, "POST", f"{V1}/modes", json={"zones": ["N1"], "mode": "emergency", "reason": "flood"})
    for method, body in (("PUT", SLOT | {"volume": 1}), ("DELETE", None)):
        problem = await said(core, method, f"{SCHEDULE}/slots/s", 409, json=body)
        assert (problem["reason"], problem["field"]) == ("locked", "zones")
        assert "N1" in problem["detail"]
        assert "flood" in problem["detail"]
    await said(core, "PUT", f"{SCHEDULE}/playlists/p", 409, json={"name": "News", "items": ["music"]})
    file = (await (await core.ask("GET", f"{V1}/schedule.ics")).text()).encode()
    await said(core, "POST", f"{SCHEDULE}/import", 409, data=file, headers=ICS)
    await said(core, "PUT", f"{SCHEDULE}/slots/south", json=SLOT | {"zones": ["S"], "volume": 1})  # undisturbed
    day = await said(core, "GET", f"{SCHEDULE}/preview?zone=N1&date={DAY}")
    assert day["segments"] == []
    assert {h["held"] for h in day["held"]} == {"emergency_mode"}
    await said(core, "POST", f"{V1}/modes/N1/clear", json={"reason": "over"})
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT | {"volume": 1})


async def test_publicity_has_its_own_scope_and_rules_are_for_administrators(core: Any, playlist: None) -> None:
    for name in ("reader", "sender", "stopper", "admin"):
        await said(core, "PUT", f"{SCHEDULE}/slots/s", 403, json=SLOT, token=name)
        await said(core, "POST", f"{SCHEDULE}/import", 403, data=THEIRS, headers=ICS, token=name)
    for name in ("reader", "sender", "stopper"):
        await said(core, "PUT", f"{V1}/kindness/N", 403, json={"budget": 1}, token=name)
        await said(core, "PUT", f"{V1}/calendar/{DAY}", 403, json={"kind": "rest"}, token=name)


async def test_a_zone_sets_its_own_kindness_and_inherits_the_rest(core: Any, playlist: None) -> None:
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT)
    quiet = [{"start": "20:00", "end": "09:00", "on": None}]
    saved = await said(core, "PUT", f"{V1}/kindness/N1", json={"quiet": quiet})
    held = [w for w in saved["warnings"] if w["problem"] == "held"]
    assert [w["slot"] for w in held] == ["s"]
    found = await said(core, "GET", f"{V1}/kindness?zone=N1")
    (zone,) = found["zones"]
    assert zone["sets"]["budget"] is None
    assert zone["holds"]["budget"] == found["default"]["budget"]
    assert [(q["start"], q["end"]) for q in zone["holds"]["quiet"]] == [("20:00:00", "09:00:00")]
    for code, plays in (("N1", 0), ("N2", 1)):
        day = await said(core, "GET", f"{SCHEDULE}/preview?zone={code}&date={DAY}")
        assert len(day["segments"]) == plays
    assert (await said(core, "GET", f"{V1}/kindness?zone=N2"))["zones"][0]["sets"] is None
    await said(core, "DELETE", f"{V1}/kindness/N1")
    await said(core, "DELETE", f"{V1}/kindness/N1", 404)
    assert (await said(core, "GET", f"{V1}/kindness"))["zones"] == []


async def test_the_districts_default_is_set_and_left_again(core: Any) -> None:
    built_in = (await said(core, "GET", f"{V1}/kindness"))["default"]
    await said(core, "PUT", f"{V1}/kindness", json={"budget": 7, "ceilings": []})
    found = await said(core, "GET", f"{V1}/kindness")
    assert found["default"] == built_in | {"budget": 7.0, "ceilings": []}
    assert (found["default_sets"]["budget"], found["default_sets"]["quiet"]) == (7.0, None)
    await said(core, "DELETE", f"{V1}/kindness")
    assert (await said(core, "GET", f"{V1}/kindness"))["default"] == built_in


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"quiet": [{"start": "25:00", "end": "07:00"}]}, "quiet[0].start"),
        ({"quiet": [{"start": "21:00+08:00", "end": "07:00"}]}, "quiet[0].start"),
        ({"quiet": [{"start": "21:00"}]}, "quiet[0]"),
        ({"quiet": [{"start": "21:00", "end": "07:00", "on": "sunday"}]}, "quiet[0].on"),
        ({"ceilings": [{"start": "12:00", "end": "14:00", "volume": 101}]}, "ceilings[0].volume"),
        ({"no_repeat_s": -1}, "no_repeat_s"),
        ({"budget": -1}, "budget"),
        ({"quiet": [{"start": "01:00", "end": "02:00"}] * 25}, "quiet"),
    ],
)
async def test_kindness_is_refused_with_its_field(core: Any, body: dict[str, Any], field: str) -> None:
    problem = await said(core, "PUT", f"{V1}/kindness/N", 422, json=body)
    assert problem["field"] == field
    assert (await said(core, "GET", f"{V1}/kindness"))["zones"] == []


async def test_a_day_is_as_announced_until_somebody_says_otherwise(core: Any, playlist: None) -> None:
    week = f"{V1}/calendar?first=2026-10-01&last=2026-10-10"
    days = {d["date"]: d for d in (await said(core, "GET", week))["days"]}
    assert len(days) == 10
    assert (days["2026-10-01"]["kind"], days["2026-10-01"]["source"]) == ("rest", "official")
    assert (days["2026-10-10"]["kind"], days["2026-10-10"]["name"]) == ("work", "调休上班")  # a Saturday, made up
    slot = SLOT | {"recurrence": {"rule": "calendar", "kind": "work"}}
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=slot)
    preview = f"{SCHEDULE}/preview?zone=N1&date={DAY}"
    assert len((await said(core, "GET", preview))["segments"]) == 1
    await said(core, "PUT", f"{V1}/calendar/{DAY}", json={"kind": "rest", "name": "Flood"})
    edited = (await said(core, "GET", f"{V1}/calendar?first={DAY}&last={DAY}"))["days"]
    assert edited == [{"date": DAY, "kind": "rest", "source": "edited", "name": "Flood"}]
    assert (await said(core, "GET", preview))["segments"] == []
    await said(core, "DELETE", f"{V1}/calendar/{DAY}")
    assert len((await said(core, "GET", preview))["segments"]) == 1


async def test_a_year_that_nobody_announced_is_said_to_be_so(core: Any) -> None:
    found = await said(core, "GET", f"{V1}/calendar?first=2040-01-01&last=2040-01-02")
    assert found["days"][0]["source"] == "expected"
    assert "2040" in found["notes"][0]


async def test_days_that_are_none_are_refused(core: Any) -> None:
    for path, status in (("2026-02-30", 422), ("tomorrow", 422), ("1800-01-01", 422)):
        problem = await said(core, "PUT", f"{V1}/calendar/{path}", status, json={"kind": "rest"})
        assert problem["field"] == "date"
    assert (await said(core, "PUT", f"{V1}/calendar/{DAY}", 422, json={"kind": "feast"}))["field"] == "kind"
    for query in ("first=2026-01-02&last=2026-01-01", "first=2026-01-01&last=2027-02-01", "first=1900-01-01"):
        assert (await said(core, "GET", f"{V1}/calendar?{query}", 422))["field"] == "query.last"


async def test_a_file_of_ours_comes_back_as_it_was(core: Any, playlist: None) -> None:
    work = {"rule": "calendar", "kind": "work", "weekdays": [0, 1, 2, 3, 4, 5, 6]}
    await said(core, "PUT", f"{SCHEDULE}/slots/s", json=SLOT | {"recurrence": work, "late": "skip"})
    before = await said(core, "GET", f"{SCHEDULE}/slots/s")
    answer = await core.ask("GET", f"{V1}/schedule.ics")
    assert answer.content_type == "text/calendar"
    file = (await answer.text()).encode()
    await said(core, "DELETE", f"{SCHEDULE}/slots/s")
    dry = await said(core, "POST", f"{SCHEDULE}/import?dry_run=true", data=file, headers=ICS)
    assert (dry["dry_run"], dry["saved"]) == (True, ["s"])
    assert await slots(core) == []
    done = await said(core, "POST", f"{SCHEDULE}/import", data=file, headers=ICS)
    assert (done["saved"], done["proposals"], done["refused"]) == (["s"], [], [])
    assert await said(core, "GET", f"{SCHEDULE}/slots/s") == before


async def test_a_file_of_somebody_else_proposes_until_zones_and_a_playlist_are_named(
    core: Any, playlist: None
) -> None:
    shown = await said(core, "POST", f"{SCHEDULE}/import", data=THEIRS, headers=ICS)
    (proposal,) = shown["proposals"]
    assert (proposal["name"], proposal["start"], proposal["length_s"]) == ("Exercise", "10:00:00", 1800)
    assert [(r["component"], r["name"]) for r in shown["refused"]] == [("VTODO", "Buy chalk")]
    assert await slots(core) == []
    where = f"{SCHEDULE}/import?zone=N1&zone=S&playlist=p&volume=40"
    for _again in range(2):  # twice is the same slot
        done = await said(core, "POST", where, data=THEIRS, headers=ICS)
        assert (done["saved"], done["proposals"]) == (["exercise"], [])
    found = await said(core, "GET", f"{SCHEDULE}/slots/exercise")
    assert (found["zones"], found["volume"], found["recurrence"]["days"]) == (["N1", "S"], 40, [0, 2])
    half = await said(core, "POST", f"{SCHEDULE}/import?zone=N1", 422, data=THEIRS, headers=ICS)
    assert half["field"] == "query.playlist"


async def test_of_a_file_what_is_possible_is_saved_and_the_rest_told(core: Any, playlist: None) -> None:
    for name in ("a", "b"):
        await said(core, "PUT", f"{SCHEDULE}/slots/{name}", json=SLOT | {"zones": [{"a": "N", "b": "S"}[name]]})
    file = await (await core.ask("GET", f"{V1}/schedule.ics")).text()
    for name in ("a", "b"):
        await said(core, "DELETE", f"{SCHEDULE}/slots/{name}")
    broken = file.replace('["S"]', '["X"]')
    assert broken != file
    done = await said(core, "POST", f"{SCHEDULE}/import", data=broken.encode(), headers=ICS)
    assert done["saved"] == ["a"]
    assert [(f["slot"], f["field"]) for f in done["findings"] if f["refused"]] == [("b", "slots.b.zones")]
    assert await slots(core) == ["a"]


async def test_proof_of_play_has_its_days_and_refuses_others(core: Any) -> None:
    empty = await said(core, "GET", f"{V1}/plays?first={DAY}&last={DAY}&zone=N", token="reader")
    assert (empty["first"], empty["occurrences"], empty["timezone"]) == (DAY, [], "Asia/Shanghai")
    await said(core, "GET", f"{V1}/plays?zone=nowhere", 404)
    for query in (f"first={DAY}&last=2026-12-01", f"first={DAY}&last=2027-12-01"):
        assert (await said(core, "GET", f"{V1}/plays?{query}", 422))["field"] == "query.last"
    assert (await said(core, "GET", f"{V1}/plays?first=yesterday", 422))["field"] == "query.first"
