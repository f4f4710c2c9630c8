"""No faster than the account allows, and no slower than it must be."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from drivers.sms_gateway.pace import Pace


def test_turns_are_evenly_spaced_when_there_is_always_work() -> None:
    now = 100.0
    pace = Pace(10.0, lambda: now)
    given_at = []
    for _ in range(50):
        now += pace.reserve()
        given_at.append(now)
    assert all(abs(b - a - 0.1) < 1e-9 for a, b in pairwise(given_at))


def test_idle_time_is_not_saved_up_beyond_the_burst() -> None:
    now = 0.0
    pace = Pace(1000.0, lambda: now)
    now = 3600.0
    at_once = 0
    while pace.reserve() == 0:
        at_once += 1
    assert pace.burst == 50
    assert at_once in {49, 50}  # the fiftieth is a rounding error away


@given(st.floats(0.5, 5000), st.lists(st.floats(0, 2), max_size=200))
def test_in_no_second_are_more_turns_given_than_the_rate_and_the_burst(rate: float, pauses: list[float]) -> None:
    now = 0.0
    pace = Pace(rate, lambda: now)
    turns = []
    for asked_at in accumulate(pauses):
        now = max(now, asked_at)
        now += pace.reserve()
        turns.append(now)
    for i, first in enumerate(turns):
        assert sum(first <= t < first + 1 for t in turns[i:]) <= rate + pace.burst + 1
