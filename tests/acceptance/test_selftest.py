"""Self-tests and sirens of a whole installation: real core and broker, simulated speakers and boards with faults."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from simulators.relay.board import Lie
from simulators.speakers.faults import Fault, FaultKind, Faults

pytestmark = pytest.mark.slow


async def post(site: Any, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
    async with site.session.post(f"/api/v1{path}", json=body) as answer:
        assert answer.status == status, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def get(site: Any, path: str) -> dict[str, Any]:
    async with site.session.get(f"/api/v1{path}") as answer:
        assert answer.status == 200, await answer.text()
        found: dict[str, Any] = await answer.json()
        return found


async def results(site: Any, occasion: str, *, within_s: float = 60) -> dict[str, dict[str, Any]]:
    """All results of an occasion by endpoint, once all have ended."""
    deadline = time.monotonic() + within_s
    while True:
        items = (await get(site, f"/selftest/results?occasion={occasion}"))["items"]
        if all(item["ended_at"] for item in items):
            return {item["endpoint_id"]: item for item in items}
        assert time.monotonic() < deadline, [i for i in items if not i["ended_at"]]
        await asyncio.sleep(0.1)


def failed_parts(result: dict[str, Any]) -> set[str]:
    return {part["part"] for part in result["parts"] if not part["ok"]}


def horns(site: Any) -> list[str]:
    return [e.id for e in site.stage.registry.endpoints.values() if e.coil is not None]


async def test_every_part_shows_its_own_fault_and_nothing_sounds(new_site: Any) -> None:
    site = await new_site(speakers=14, horns=6)
    ids = site.speakers
    site.fleet.faults = Faults(
        faults=(
            Fault(kind=FaultKind.AMPLIFIER, ids=frozenset(ids[:1])),
            Fault(kind=FaultKind.STORAGE, ids=frozenset(ids[1:2])),
            Fault(kind=FaultKind.CLOCK, ids=frozenset(ids[2:3]), seconds=60),
            Fault(kind=FaultKind.WRONG_HASH, ids=frozenset(ids[3:4])),
            Fault(kind=FaultKind.LOST_RECEIPTS, ids=frozenset(ids[4:5]), chance=0.5),
        )
    )
    boards = {e.id: e.coil for e in site.stage.registry.endpoints.values() if e.coil is not None}
    dead, lying = boards[horns(site)[0]], next(c for c in boards.values() if c.line != boards[horns(site)[0]].line)
    site.relays.buses[dead.line].board(dead.unit).dead = True
    site.relays.buses[lying.line].board(lying.unit).lie = Lie.EXCEPTION
    opened = await post(site, "/selftest/run", {}, 202)
    assert opened["endpoints"] == 20
    found = await results(site, opened["occasion"])
    expected = {
        ids[0]: ("hardware", {"amplifier"}),
        ids[1]: ("storage_full", {"storage"}),
        ids[2]: ("clock_off", {"clock"}),
        ids[3]: ("content_mismatch", {"fetch"}),
    }
    for endpoint_id, (reason, parts) in expected.items():
        assert (found[endpoint_id]["outcome"], found[endpoint_id]["reason"]) == ("failed", reason)
        assert failed_parts(found[endpoint_id]) == parts
    for endpoint_id in ids[4:]:
        assert found[endpoint_id]["outcome"] == "proven", found[endpoint_id]
        assert {p["part"] for p in found[endpoint_id]["parts"]} == {"fetch", "amplifier", "clock", "storage"}
    for endpoint_id, coil in boards.items():
        result = found[endpoint_id]
        if (coil.line, coil.unit) == (dead.line, dead.unit):
            assert (result["outcome"], result["reason"]) == ("failed", "board_silent"), result
        elif (coil.line, coil.unit) == (lying.line, lying.unit):
            assert (result["outcome"], result["reason"]) == ("failed", "board_exception")
        else:
            assert result["outcome"] == "proven", result
            assert result["parts"][0]["part"] == "coils"
    assert site.sounds() == 0
    assert [edge for bus in site.relays.buses.values() for edge in bus.edges] == []
    numbers = await get(site, "/selftest")
    district = numbers["zones"][0]["channels"]
    assert district["speaker"]["endpoints"] == district["speaker"]["simulated"] == 14
    assert (district["speaker"]["proven_24h"], district["speaker"]["never"]) == (10, 4)
    assert {r["endpoint_id"] for r in numbers["failing"]} >= set(ids[:4])
    assert numbers["account"] is None
    async with site.session.get("/metrics") as answer:
        text = await answer.text()
    assert 'tocsin_selftest_endpoints{channel="speaker",proven="24h"} 10.0' in text
    report = await site.report(found[ids[5]]["alert_id"])  # a message like any other: its report has the proof
    assert report["revisions"][0]["channels"]["speaker"]["states"]["finished"] > 0


async def test_tests_wait_for_an_alert_and_a_restart_sends_none_twice(new_site: Any) -> None:
    site = await new_site(speakers=20)
    alert_id = await site.send()
    opened = await post(site, "/selftest/run", {}, 202)
    await site.finished(alert_id, within_s=60)
    sent_before = (await get(site, f"/selftest/results?occasion={opened['occasion']}"))["items"]
    await site.core.kill()
    await site.core.start()
    await site.fleet.ready()
    found = await results(site, opened["occasion"])
    assert {r["outcome"] for r in found.values()} == {"proven"}
    ended = max(row["rungs"]["finished"]["recorded_at"] for row in (await site.report(alert_id))["deliveries"])
    # Written in the moment in which the last speaker was done, or later; the two clocks are one.
    assert min(r["sent_at"] for r in found.values()) >= ended
    assert all(before["sent_at"] in (None, found[before["endpoint_id"]]["sent_at"]) for before in sent_before)
    for speaker in site.speakers:  # each was told once
        assert len([a for a in site.fleet.remembered(speaker).alerts if a.startswith("t")]) == 1


async def configured(site: Any, head: str) -> None:
    """The core again, with more settings."""
    await site.core.stop()
    settings = re.sub(r"^timezone = .*\n", "", site.stage.config.read_text(), flags=re.MULTILINE)
    site.stage.config.write_text(head + settings)
    await site.core.start()
    await site.fleet.ready()


def zone_where_it_is(hour: int) -> str:
    """A time zone in which it is this hour now, or the next one within the test."""
    offset = (hour - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-offset:+d}"  # POSIX: the sign is the other way round


async def test_an_audible_test_sounds_one_after_the_other_in_kind_hours_only(new_site: Any) -> None:
    site = await new_site(speakers=60, horns=3)
    await configured(site, f'timezone = "{zone_where_it_is(10)}"\n')
    root = site.stage.registry.root.code
    for asked in ({"zone": root}, {"endpoints": site.speakers}):
        assert (await post(site, "/selftest/audible", asked, 422))["reason"] == "invalid_value"
    refused = await post(site, "/selftest/audible", {"endpoints": horns(site)[:1]}, 422)
    assert refused["reason"] == "unknown_channel"
    assert site.sounds() == 0
    chosen = site.speakers[:2]
    opened = await post(site, "/selftest/audible", {"endpoints": chosen, "volume": 30}, 202)
    found = await results(site, opened["occasion"])
    assert {r["outcome"] for r in found.values()} == {"proven"}
    played = [site.fleet.played(speaker) for speaker in chosen]
    assert [len(p) for p in played] == [1, 1]
    assert {p[0].volume for p in played} == {30}
    assert played[0][0].ended is not None
    assert played[0][0].ended <= played[1][0].began  # one can be told from the other
    assert site.sounds() == 2
    assert [edge for bus in site.relays.buses.values() for edge in bus.edges] == []
    await configured(site, "")
    text = site.stage.config.read_text().replace(zone_where_it_is(10), zone_where_it_is(2))
    await site.core.stop()
    site.stage.config.write_text(text)
    await site.core.start()
    refused = await post(site, "/selftest/audible", {"endpoints": chosen}, 422)
    assert refused["reason"] == "quiet_hours"
    assert site.sounds() == 2


_PATTERNS = """
[pattern.short-{n}]
name_zh = "短{n}"
name_en = "Short {n}"
steps = [[1, 1]]
repeat = {n}
"""
_SIGNAL = """
[[act.short.signals]]
pattern = "short-{n}"
headline_zh = "信号{n}"
headline_en = "Signal {n}"
instruction_zh = "试鸣"
instruction_en = "A test"
"""


def siren_settings(site: Any, calendar: str = "") -> str:
    """A district's own act of three short signals: two, three and four sounds."""
    root = site.stage.root
    with (root / "patterns.toml").open("a") as file:
        file.write("".join(_PATTERNS.format(n=n) for n in (2, 3, 4)))
    act = '[act.short]\nname_zh = "短"\nname_en = "Short"\ntest = true\nchannels = ["horn"]\n'
    (root / "sirens.toml").write_text(act + "".join(_SIGNAL.format(n=n) for n in (2, 3, 4)) + calendar)
    return f'sirens_file = "{root}/sirens.toml"\n'


def closings(site: Any) -> Counter[tuple[str, int, int]]:
    """How often each horn has closed, as its board tells it."""
    edges = [edge for bus in site.relays.buses.values() for edge in bus.edges if edge.closed]
    return Counter((edge.line, edge.unit, edge.coil) for edge in edges)


def every_horn(site: Any, least: int, most: int) -> bool:
    counted = closings(site)
    return len(counted) == len(horns(site)) and all(least <= n <= most for n in counted.values())


async def horns_are_there(site: Any) -> None:
    """A pattern goes by the clock: boards that are not reached yet would miss its beginning."""

    async def online() -> bool:
        async with site.session.get("/metrics") as answer:
            return f'tocsin_endpoints{{channel="horn",presence="online"}} {len(horns(site))}.0' in await answer.text()

    await until(online)


async def complete(site: Any, alert_id: str) -> None:
    """Every horn has proven the end of it, well or not."""

    async def ended() -> bool:
        return bool((await site.report(alert_id))["complete"])

    await until(ended)


async def until(true: Any, within_s: float = 90) -> None:
    deadline = time.monotonic() + within_s
    while not await true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def test_an_act_is_led_on_over_a_restart_and_stopped_at_any_time(new_site: Any) -> None:
    site = await new_site(speakers=2, horns=3)
    await configured(site, siren_settings(site))
    await horns_are_there(site)
    started = await post(site, "/sirens/act", {"template": "short", "area": ["district"]}, 201)
    assert started["running"]
    assert started["following"] == 1
    again = await post(site, "/sirens/act", {"template": "short", "area": ["district"]}, 409)
    assert again["reason"] == "locked"
    first = started["signals"][0]["alert_id"]
    await complete(site, first)
    assert every_horn(site, 1, 2)
    before = closings(site)
    await site.core.kill()
    await site.core.start()
    await horns_are_there(site)
    shown = (await get(site, "/sirens/act"))["act"]
    assert (shown["id"], shown["running"], shown["following"]) == (started["id"], True, 1)
    assert [s["outcome"] for s in shown["signals"]] == ["sent", None, None]
    await asyncio.sleep(3)  # nothing is awaited: in this time nothing may sound again
    assert closings(site) == before
    led = await post(site, "/sirens/act/next", {}, 200)
    assert led["following"] == 2

    async def second_sounds() -> bool:
        return all(closings(site)[horn] > n for horn, n in before.items())

    await until(second_sounds)
    stopped = await post(site, "/sirens/act/stop", {}, 200)
    assert (stopped["running"], stopped["following"]) == (False, 2)
    assert [s["stopped"] for s in stopped["signals"]] == [False, True, False]

    async def silent() -> bool:
        return not any(bus.closed() for bus in site.relays.buses.values())

    await until(silent)
    assert (await post(site, "/sirens/act/next", {}, 409))["reason"] == "not_live"
    await site.silence(stopped["signals"][1]["alert_id"], within_s=30)
    report = await site.report(stopped["signals"][1]["alert_id"])
    assert set(report["revisions"][0]["channels"]) == {"horn"}


async def test_a_confirmed_day_sounds_each_signal_once_over_a_restart(new_site: Any) -> None:
    site = await new_site(speakers=2, horns=3)
    begin = datetime.now(UTC) + timedelta(seconds=25)
    if begin.date() != (begin + timedelta(seconds=90)).date():
        begin += timedelta(seconds=120)  # not over midnight
    times = ", ".join((begin + timedelta(seconds=n)).strftime("%H:%M:%S") for n in (0, 20, 40))
    calendar = f"""
[calendar.today]
act = "short"
month = {begin.month}
day = {begin.day}
at = [{times}]
area = ["district"]
"""
    await configured(site, 'timezone = "UTC"\n' + siren_settings(site, calendar))
    await horns_are_there(site)

    async def proposed() -> bool:
        items = (await get(site, "/sirens/calendar"))["items"]
        return bool(items) and items[-1]["state"] == "proposed"

    await until(proposed)
    day = f"/sirens/calendar/today/{begin.date().isoformat()}"
    confirmed = await post(site, f"{day}/confirm", {}, 200)
    assert confirmed["state"] == "confirmed"
    assert [c["actor"] for c in confirmed["confirmed"]] == ["first-token"]

    async def first_was_sent() -> bool:
        items = (await get(site, "/sirens/calendar"))["items"]
        return items[-1]["signals"][0]["outcome"] == "sent"

    await until(first_was_sent, within_s=120)
    first = (await get(site, "/sirens/calendar"))["items"][-1]["signals"][0]["alert_id"]
    await complete(site, first)
    before = closings(site)
    assert every_horn(site, 1, 2)
    await site.core.kill()
    await site.core.start()

    async def over() -> bool:
        return (await get(site, "/sirens/calendar"))["items"][-1]["state"] == "over"

    await until(over, within_s=120)
    signals = (await get(site, "/sirens/calendar"))["items"][-1]["signals"]
    assert [s["outcome"] for s in signals] == ["sent"] * 3
    assert len({s["alert_id"] for s in signals}) == 3
    assert signals[0]["alert_id"] == first
    assert [s["sent"] for s in signals] == [s["planned"] for s in signals]
    for signal in signals[1:]:
        await complete(site, signal["alert_id"])
    assert all(closings(site)[horn] > n for horn, n in before.items())
    assert every_horn(site, 3, 2 + 3 + 4)  # none of them a second time
