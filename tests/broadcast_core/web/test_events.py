"""Streams: numbers first, then what changes, and an end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp

from broadcast_core.model import DeliveryKey, DeliveryKind, Presence, Progress
from broadcast_core.web.watch import Watch

Event = tuple[str, dict[str, Any]]


@asynccontextmanager
async def stream(core: Any, path: str) -> AsyncIterator[AsyncIterator[Event]]:
    """The events of a path, as they come."""
    async with core.http.get(f"{core.url}/api/v1{path}", headers=core.bearer("reader")) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        yield events_of(response)


async def events_of(response: aiohttp.ClientResponse) -> AsyncIterator[Event]:
    name = ""
    async for line in response.content:
        field, _colon, value = line.decode().rstrip("\r\n").partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def following(events: AsyncIterator[Event], seconds: float = 20) -> Event:
    async with asyncio.timeout(seconds):
        return await anext(events)


def start_of(alert_id: str, endpoint_id: str) -> DeliveryKey:
    return DeliveryKey(alert_id=alert_id, revision=1, kind=DeliveryKind.START, endpoint_id=endpoint_id)


async def test_an_alert_is_told_from_its_numbers_to_its_end(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.RECEIVED,), "SPK-2": (Progress.RECEIVED,)}
    alert_id = (await core.send(core.cap()))["alert_id"]
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        name, counts = await following(events)
        assert (name, counts["alert_id"]) == ("counts", alert_id)
        assert sum(counts["revisions"][0]["channels"]["speaker"].values()) == 2
        core.speakers.report(start_of(alert_id, "SPK-1"), Progress.STARTED)
        while True:
            name, changes = await following(events)
            assert name == "changes"
            if changes["starts"].get("started"):
                break
        assert changes["starts"]["started"] == ["SPK-1"]
        assert changes["count"]["channels"]["speaker"]["started"] == 1
        core.speakers.report(start_of(alert_id, "SPK-1"), Progress.FINISHED)
        core.speakers.report(start_of(alert_id, "SPK-2"), Progress.FINISHED)
        seen = [event async for event in events]
        assert [name for name, _ in seen][-1] == "end"
        assert seen[-1][1]["revisions"][0]["complete"] is True
        assert seen[-1][1]["revisions"][0]["channels"]["speaker"]["finished"] == 2


async def test_a_past_alert_is_its_numbers_and_the_end(core: Any) -> None:
    alert_id = (await core.send(core.cap()))["alert_id"]
    await core.until_complete(alert_id)
    live = core.services.live.get(alert_id, 1)
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        told = [event async for event in events]
    core.services.live.forget(live)
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        stored = [event async for event in events]
    assert [name for name, _ in told] == [name for name, _ in stored] == ["counts", "end"]
    assert told[1][1]["revisions"][0]["channels"] == stored[1][1]["revisions"][0]["channels"]


async def test_states_in_a_stream_add_up_to_the_targets_at_every_moment(core: Any) -> None:
    core.speakers.answers = {f"SPK-{n}": () for n in range(1, 5)}
    accepted = await core.send(core.cap(zone="D", channels="speaker,sms"))
    alert_id = accepted["alert_id"]
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        for number in range(1, 5):
            for progress in (Progress.RECEIVED, Progress.STARTED, Progress.FINISHED):
                core.speakers.report(start_of(alert_id, f"SPK-{number}"), progress)
        async for _name, data in events:
            for count in data.get("revisions") or [data["count"]]:
                sums = {channel: sum(states.values()) for channel, states in count["channels"].items()}
                assert sums == accepted["targets"]


async def test_a_stop_shows_in_the_stream_with_who_is_silent(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.STARTED,), "SPK-2": (Progress.STARTED,)}
    alert_id = (await core.send(core.cap()))["alert_id"]

    async def started() -> bool:
        return core.services.live.get(alert_id, 1).tally[core.speakers.channel, "start", Progress.STARTED] == 2

    await core.until(started)
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        await following(events)
        await core.ask("POST", f"/api/v1/alerts/{alert_id}/stop")
        for endpoint in ("SPK-1", "SPK-2"):
            core.speakers.report(start_of(alert_id, endpoint), Progress.STOPPED)
        silent: set[str] = set()
        async for _name, data in events:
            silent |= set(data.get("stops", {}).get("finished", ()))
    assert silent == {"SPK-1", "SPK-2"}
    await core.express.drain()


async def test_everything_live_and_presence_are_told_in_one_stream(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (Progress.RECEIVED,)}
    async with stream(core, "/events") as events:
        _name, first = await following(events)
        assert first["alerts"] == []
        assert first["presence"]["speaker"] == {"unknown": 4, "online": 0, "silent": 0, "offline": 0}
        core.speakers.presence("SPK-1", Presence.ONLINE)
        while (news := (await following(events))[1])["presence"] is None:
            pass
        assert news["presence"]["speaker"]["online"] == 1
        accepted = await core.send(core.cap())
        while not (news := (await following(events))[1])["alerts"]:
            pass
        assert news["alerts"][0]["alert_id"] == accepted["alert_id"]
        core.services.live.forget(core.services.live.get(accepted["alert_id"], 1))
        while not (news := (await following(events))[1])["gone"]:
            pass
        assert news["gone"] == [[accepted["alert_id"], 1]]


async def test_changes_come_at_most_four_times_a_second(core: Any) -> None:
    core.speakers.answers = {f"SPK-{n}": () for n in range(1, 5)}
    alert_id = (await core.send(core.cap(zone="D")))["alert_id"]
    async with stream(core, f"/alerts/{alert_id}/events") as events:
        loop = asyncio.get_running_loop()
        begin = loop.time()
        for number in range(1, 5):
            for progress in (Progress.RECEIVED, Progress.STARTED, Progress.FINISHED):
                core.speakers.report(start_of(alert_id, f"SPK-{number}"), progress)
                await asyncio.sleep(0.05)
        names = [name async for name, _ in events]
        assert names.count("changes") <= (loop.time() - begin) / 0.25 + 1


async def test_several_watchers_see_the_same_and_leave_nothing_behind(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (), "SPK-2": ()}
    alert_id = (await core.send(core.cap()))["alert_id"]
    async with AsyncExitStack() as stack:
        watchers = [await stack.enter_async_context(stream(core, f"/alerts/{alert_id}/events")) for _ in range(5)]
        for events in watchers:
            await following(events)
        for endpoint in ("SPK-1", "SPK-2"):
            core.speakers.report(start_of(alert_id, endpoint), Progress.FINISHED)
        ends = [[event async for event in events][-1] for events in watchers]
    assert len({json.dumps(end) for end in ends}) == 1

    async def nobody_looks() -> bool:
        return not any(task.get_name() == "watch" for task in asyncio.all_tasks())

    await core.until(nobody_looks)


async def test_a_heartbeat_keeps_a_quiet_stream_open(core: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("broadcast_core.web.events._HEARTBEAT_S", 0.05)
    async with core.http.get(f"{core.url}/api/v1/events", headers=core.bearer()) as response, asyncio.timeout(10):
        while not (await response.content.readline()).startswith(b": "):
            pass


async def test_beyond_the_most_streams_the_answer_is_busy(core: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("broadcast_core.web.watch._MOST_WATCHERS", 2)
    async with stream(core, "/events") as one, stream(core, "/events") as two:
        await following(one)
        await following(two)
        response = await core.ask("GET", "/api/v1/events")
        assert (response.status, (await response.json())["reason"]) == (503, "busy")
        assert response.headers["Retry-After"] == "1"


async def test_a_watcher_that_does_not_keep_up_gets_the_numbers_anew(core: Any) -> None:
    core.speakers.answers = {"SPK-1": (), "SPK-2": ()}
    alert_id = (await core.send(core.cap()))["alert_id"]
    tally = core.services.live.get(alert_id, 1).tally
    watch = Watch(core.services)
    with watch.watching(alert_id) as watcher:
        for number in range(200):
            tally[core.speakers.channel, DeliveryKind.STOP, Progress.SENT] = number
            watch.look()
        waiting = [watcher.events.get_nowait() for _ in range(watcher.events.qsize())]
    assert len(waiting) <= 64
    assert waiting[0].name == "counts"


async def test_streams_end_when_the_server_does(core: Any) -> None:
    async with stream(core, "/events") as events:
        await following(events)
        await core.listener.aclose()
        assert [name async for name, _ in events] == ["end"]
