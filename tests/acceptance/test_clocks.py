"""The core's clock steps, daylight saving changes, and there is a 29 February: each occurrence starts once.

libfaketime gives the core another date; its peers learn the time from it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.acceptance.peacetime import QUICK, Due, Peacetime

pytestmark = pytest.mark.slow

_HOURS = timedelta(hours=2)


async def test_a_clock_that_steps_two_hours_both_ways_starts_each_occurrence_once(new_site: Any) -> None:
    """Each step is between two lives of the core, and the occurrence before it is due again or is over by it."""
    site = await new_site(speakers=60, habits=QUICK)
    peace = Peacetime(site)
    await peace.open(1)
    dues: list[Due] = []
    for number, ahead in enumerate((timedelta(), -_HOURS, timedelta(), _HOURS, timedelta())):
        if number:
            await peace.restart(ahead)
        due = await peace.slot(f"step-{number}", in_s=3, length_s=59)
        await peace.over(due)
        dues.append(due)
        first = [p[0].began_utc for p in peace.starts(due).values()]
        assert max(abs(at - due.starts_at.timestamp() * 1000) for at in first) < 5000, "they have the core's time"
    assert [peace.whys(due) for due in dues] == [{("complete",)}] * len(dues)
    assert site.sounds() == len(dues) * len(site.speakers)


async def test_in_new_york_each_change_of_the_clocks_and_a_29_february_have_one_start(new_site: Any) -> None:
    """Clocks are put forward on 10 March 2030 and back on 3 November. 2032 is a leap year."""
    site = await new_site(speakers=60, timezone="America/New_York", habits=QUICK)
    peace = Peacetime(site)
    await peace.open(1)

    async def save(name: str, at: datetime, start: str, recurrence: dict[str, Any]) -> Due:
        return await peace.slot(name, at=at, start=start, recurrence=recurrence, length_s=59, grace_s=30)

    spring = datetime(2030, 3, 10, 7, 0, tzinfo=UTC)
    autumn = datetime(2030, 11, 3, 5, 59, 58, tzinfo=UTC)
    winter = datetime(2030, 11, 3, 7, 0, tzinfo=UTC)
    leap = datetime(2032, 2, 29, 17, 0, tzinfo=UTC)
    dues = [
        await save("skipped", spring, "02:30:00", _on("2030-03-10")),  # there is none: the first instant after it
        await save("twice", autumn, "01:59:58", _on("2030-11-03")),  # it comes again, two seconds before 02:00
        await save("after", winter, "02:00:00", _on("2030-11-03")),
        await save("leap", leap, "12:00:00", {"rule": "yearly", "month": 2, "day": 29}),
    ]
    await peace.held(await peace.slot("today", in_s=20, length_s=59))  # so that all have the tune; they never play it
    for number, due in enumerate(dues, 1):
        await peace.restart(due.starts_at - datetime.now(UTC) - timedelta(seconds=6))
        await peace.over(due)
        assert peace.whys(due) == {("complete",)}
        assert site.sounds() == number * len(site.speakers), "nothing else has sounded"


def _on(date: str) -> dict[str, Any]:
    return {"rule": "dates", "dates": [date]}
