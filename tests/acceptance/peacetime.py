"""Peacetime at a site, as publicity staff would have it through the API; and what the fleet's own log says of it."""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from broadcast_core.cli.demo.timetable import music
from scheduler.sending import message_id
from simulators.speakers import Habits, Played

# In the field the proofs spread over a minute.
QUICK: Final = Habits(report_spread_ms=1000)

_LIBRARIES: Final = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib/faketime/libfaketimeMT.so.1")


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """An occurrence that is to come: its identity on the wire, and its start by the core's clock."""

    key: str
    alert: str
    starts_at: datetime


class Peacetime:
    """The schedule of a site. `ahead` is by how much the core's clock is ahead of the machine's."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.ahead = timedelta()
        self.sha256: dict[str, str] = {}  # of each playlist's items

    @property
    def now(self) -> datetime:
        """By the core's clock."""
        return datetime.now(UTC) + self.ahead

    @property
    def root(self) -> str:
        return str(self.site.stage.registry.root.code)

    async def open(self, seconds: float, playlist: str = "tune") -> None:
        """No quiet hours, since a test may run at any; and a playlist of one tune."""
        await self.ask("PUT", "/kindness", json={"quiet": [], "ceilings": [], "no_repeat_s": 0, "budget": 1_000_000})
        item = await self.upload(seconds, playlist)
        await self.ask("PUT", f"/schedule/playlists/{playlist}", json={"name": playlist, "items": [item["id"]]})

    async def upload(self, seconds: float, title: str) -> Any:
        """A tune into the library; it goes on at its position after an interruption."""
        wav = await asyncio.to_thread(music, seconds)
        parameters = {"title": title, "resume": "position", "licence": "generated"}
        return await self.ask(
            "POST", "/media", params=parameters, data=io.BytesIO(wav), headers={"Content-Type": "audio/wav"}
        )

    async def slot(
        self,
        name: str,
        *,
        in_s: float = 5.0,
        at: datetime | None = None,
        length_s: float,
        recurrence: dict[str, Any] | None = None,
        zones: Sequence[str] = (),
        **more: Any,
    ) -> Due:
        """Save a slot for zones (or the district) that is due in some seconds, on the next whole one, or `at`."""
        at = at or (self.now + timedelta(seconds=in_s + 1)).replace(microsecond=0)
        local = at.astimezone(self.site.stage.settings.zone_info)
        slot = {
            "name": name,
            "zones": list(zones) or [self.root],
            "start": f"{local:%H:%M:%S}",
            "length_s": length_s,
            "recurrence": recurrence or {"rule": "dates", "dates": [local.date().isoformat()]},
            "playlist": "tune",
            "volume": 60,
            "overrun": "cut",
            "grace_s": 5,
        } | more
        await self.ask("PUT", f"/schedule/slots/{name}", json=slot)
        key = f"{name}/{local.date().isoformat()}"
        return Due(key=key, alert=message_id(key), starts_at=at)

    async def change(self, name: str, **more: Any) -> None:
        """Change a slot that there is."""
        slot = await self.ask("GET", f"/schedule/slots/{name}")
        await self.ask("PUT", f"/schedule/slots/{name}", json=slot | more)

    async def mode(self, mode: str, *zones: str) -> Any:
        return await self.ask("POST", "/modes", json={"zones": zones, "mode": mode, "reason": "a test of the switch"})

    async def ask(self, method: str, path: str, **more: Any) -> Any:
        async with self.site.session.request(method, f"/api/v1{path}", **more) as answer:
            assert answer.status < 400, f"{method} {path}: {answer.status} {await answer.text()}"
            return await answer.json()

    async def held(self, due: Due, speakers: Iterable[str] | None = None) -> None:
        """Wait until speakers have the occurrence and its sounds in their flash."""
        fleet = self.site.fleet
        chosen = list(self.site.speakers if speakers is None else speakers)

        def have() -> bool:
            memories = [fleet.remembered(s) for s in chosen]
            return all(due.alert in m.day and m.store for m in memories)

        await self.site.eventually(have, 30, f"all hold {due.key}")
        assert self.now < due.starts_at, "held before it is due"

    async def begun(self, due: Due, speakers: Iterable[str] | None = None, *, within_s: float = 30) -> None:
        """Wait until each of the speakers sounds it."""
        chosen = list(self.site.speakers if speakers is None else speakers)
        await self.site.eventually(
            lambda: all(self.starts(due, chosen).values()), within_s, f"all begin {due.key}"
        )  # fmt: skip

    async def over(self, due: Due, speakers: Iterable[str] | None = None, *, within_s: float = 60) -> None:
        """Wait until each of the speakers has played it to the end of its tune."""
        chosen = list(self.site.speakers if speakers is None else speakers)

        def complete() -> bool:
            return all(p and p[-1].why == "complete" for p in self.starts(due, chosen).values())

        await self.site.eventually(complete, within_s, f"all complete {due.key}")

    def starts(self, due: Due, speakers: Iterable[str] | None = None) -> dict[str, list[Played]]:
        """Each stretch of it on each speaker."""
        found: dict[str, list[Played]] = self.site.stretches(due.alert, speakers)
        return found

    def whys(self, due: Due, speakers: Iterable[str] | None = None) -> set[tuple[str, ...]]:
        """In which ways the stretches of it ended, in order; each way once, however many speakers had it."""
        return {tuple(p.why for p in played) for played in self.starts(due, speakers).values()}

    def volumes(self, speakers: Iterable[str]) -> set[int]:
        """At which volumes speakers sound now; silent ones have none."""
        return {p[-1].volume for s in speakers if (p := self.site.fleet.played(s)) and p[-1].ended is None}

    async def proven(self, due: Due, test: Callable[[Any], bool] | None = None, *, within_s: float = 60) -> Any:
        """The occurrence in the report, once nothing is owed; its states add up at every moment."""
        deadline = time.monotonic() + within_s
        day = due.key.split("/")[1]
        while True:
            report = await self.ask("GET", "/plays", params={"first": day})
            (one,) = (o for o in report["occurrences"] if o["key"] == due.key)
            assert one["targets"] == one["proven"] + one["owed"] + one["failed"] + one["withdrawn"]
            if test(one) if test else one["owed"] == 0:
                return one
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s} s: {one}")
            await asyncio.sleep(0.2)

    async def restart(self, ahead: timedelta) -> None:
        """Kill the core and start it with another clock, and let every speaker learn it."""
        site, self.ahead = self.site, ahead
        await site.core.kill()
        site.core.environment = faked(ahead)
        await site.core.start()
        for speaker in site.speakers:
            site.fleet.disconnect(speaker)
            site.fleet.reconnect(speaker)
        await site.eventually(lambda: site.fleet.settled == len(site.speakers), 30, "all have the core's time")


def faked(ahead: timedelta) -> dict[str, str]:
    """The environment of a process that believes in another date; what measures durations is as it was."""
    library = next((f for pattern in _LIBRARIES for f in Path("/").glob(pattern.lstrip("/"))), None)
    if library is None:
        pytest.fail("libfaketime is not installed; `make test` installs it (apt install faketime)")
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{ahead.total_seconds():+.0f}",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


async def until(test: Callable[[], Awaitable[bool]], within_s: float, what: str) -> None:
    """Wait for what only the API can tell."""
    deadline = time.monotonic() + within_s
    while not await test():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s} s: {what}")
        await asyncio.sleep(0.1)
