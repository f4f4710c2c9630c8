"""When each endpoint has its turn."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from broadcast_core.config import SelfTests
from broadcast_core.model import Channel, Endpoint, Part, PartResult, read_parts, say_parts
from broadcast_core.selftest.freshness import freshness
from broadcast_core.selftest.night import night_at

SHANGHAI = ZoneInfo("Asia/Shanghai")


def at(hour: int, minute: int = 0, day: int = 5) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


def test_it_is_night_within_the_window_only() -> None:
    settings = SelfTests()
    assert night_at(at(0, 59), settings, SHANGHAI) is None
    night = night_at(at(1), settings, SHANGHAI)
    assert night is not None
    assert (night.date, night.start, night.end) == (date(2026, 3, 5), at(1), at(5))
    assert night_at(at(5), settings, SHANGHAI) is None


def test_a_window_over_midnight_is_one_night() -> None:
    settings = SelfTests(start=time(23), end=time(2))
    before, after = night_at(at(23, 30), settings, SHANGHAI), night_at(at(1, 30, day=6), settings, SHANGHAI)
    assert before == after
    assert before is not None
    assert before.occasion == "night:2026-03-05"


@pytest.mark.parametrize("when", ["2026-03-29", "2026-10-25"])
def test_a_night_of_changed_clocks_is_one_night(when: str) -> None:
    tz, settings = ZoneInfo("Europe/Berlin"), SelfTests()
    noon = datetime.fromisoformat(f"{when}T12:00").replace(tzinfo=tz).astimezone(UTC)
    nights = {night_at(noon - timedelta(hours=12) + timedelta(minutes=n), settings, tz) for n in range(720)} - {None}
    assert len(nights) == 1


def test_turns_are_spread_and_leave_room_and_move_from_night_to_night() -> None:
    settings = SelfTests()
    first, then = night_at(at(2), settings, SHANGHAI), night_at(at(2, day=6), settings, SHANGHAI)
    assert first is not None
    assert then is not None
    ids = [f"SPK-{n:04}" for n in range(1, 1100)]
    turns = sorted(first.turn(i) for i in ids)
    spread = (first.end - first.start) * 0.8
    assert first.start <= turns[0]
    assert turns[-1] <= first.start + spread
    minutes = [int((t - first.start) / timedelta(minutes=10)) for t in turns]
    assert max(minutes.count(n) for n in set(minutes)) < 2.5 * len(ids) / (spread / timedelta(minutes=10))
    assert first.turn("SPK-0001") - first.start != then.turn("SPK-0001") - then.start


def test_parts_read_back_and_nothing_else_is_proof() -> None:
    results = (
        PartResult(part=Part.FETCH, ok=True, note="48 ms"),
        PartResult(part=Part.AMPLIFIER, ok=False, note="no loop; a=b"),
        PartResult(part=Part.STORAGE, ok=True),
    )
    read = read_parts(say_parts(results))
    assert [(r.part, r.ok) for r in read] == [(r.part, r.ok) for r in results]
    assert read_parts("no answer; fetch; laser=ok; clock=perhaps") == ()


def test_freshness_counts_who_is_in_service_and_nobody_is_not_everybody() -> None:
    now = at(12)

    def speaker(name: str, **more: bool) -> Endpoint:
        return Endpoint(id=name, channel=Channel.SPEAKER, zone="z", name=name, **more)

    endpoints = [
        speaker("a"), speaker("b"), speaker("c", simulated=True), speaker("d"), speaker("e", enabled=False),
    ]  # fmt: skip
    proven = {"a": now - timedelta(hours=23), "b": now - timedelta(days=3), "c": now - timedelta(days=30)}
    found = freshness(endpoints, proven, now)
    assert (found.endpoints, found.simulated, found.proven_day, found.proven_week, found.never) == (4, 1, 1, 2, 1)
    assert found.oldest == now - timedelta(days=30)
    assert found.share_day == 0.25
    assert freshness([], {}, now).share_day is None
