"""Speed, as a ratio to a limit measured in the same run (docs/performance.md). JSON lines, as dictionaries."""

from __future__ import annotations

import asyncio
import os
import platform
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from broadcast_core.bench.fleet import cpu_seconds, median, process, resident_mb
from broadcast_core.bench.limits import NaiveWay, RawLimit
from broadcast_core.bench.mosquitto import mosquitto
from broadcast_core.bench.ours import OurPath, our_path

_BETWEEN_S: Final = 0.3  # the fleet's last answers of one way are not counted in the next
_WARM_UPS: Final = 2
_ONE_BROKER: Final = 5000  # speakers of each fleet that one broker has descriptors for
_IDLE_S: Final = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One course of the bench: how many speakers, how often, and what the fleet does."""

    name: str
    speakers: int
    rounds: int
    fleet: Literal["light", "simulated"] = "light"
    naive: bool = True
    idle: bool = False
    programmes: int = 0  # that every speaker has, and plays, meanwhile


_FLEETS: Final = {
    "light": ("broadcast_core.bench.light",),
    "simulated": ("simulators.speakers", "--provision"),
}
COURSES: Final = (
    Course(name="district", speakers=1099, rounds=10, idle=True),
    # The same beside a day of publicity: every speaker holds it, and its programme is on.
    Course(name="district, every speaker playing", speakers=1099, rounds=10, naive=False, idle=True, programmes=5),
    # The speakers of `tocsin simulate`: each verifies for itself, starts to sound, and says so.
    Course(name="district, simulated speakers", speakers=1099, rounds=5, fleet="simulated", naive=False),
    Course(name="city", speakers=10_000, rounds=5, naive=False),
)


async def run(courses: Sequence[Course]) -> AsyncIterator[dict[str, Any]]:
    """Run the courses; a line for each round, and one with medians and ratios for each course."""
    yield {
        "kind": "machine",
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    per_endpoint: dict[int, float] = {}
    for course in courses:
        async for line in _course(course):
            yield line
            if line["kind"] == "result" and course.fleet == "light":
                per_endpoint[course.speakers] = line["us_per_endpoint"]
    if len(per_endpoint) > 1:
        few, many = min(per_endpoint), max(per_endpoint)
        yield {
            "kind": "scale",
            "us_per_endpoint": per_endpoint,
            "ratio": round(per_endpoint[many] / per_endpoint[few], 2),
        }


async def _course(course: Course) -> AsyncIterator[dict[str, Any]]:
    async with AsyncExitStack() as stack:
        # One broker for both ways, unless both fleets' descriptors are too many: 20,000 is a common limit.
        port, broker = await stack.enter_async_context(mosquitto())
        raw_port = port
        if course.speakers > _ONE_BROKER:
            raw_port, _raw_broker = await stack.enter_async_context(mosquitto())
        echo = process("broadcast_core.bench.echo", str(raw_port), str(course.speakers))
        await stack.enter_async_context(echo)
        raw = RawLimit(raw_port, course.speakers)
        await raw.start()
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tocsin-bench-")))
        our_own = our_path(directory, port, course.speakers, programmes=course.programmes)
        ours, provision, send_the_day = await stack.enter_async_context(our_own)
        fleet = await stack.enter_async_context(process(*_FLEETS[course.fleet], str(provision)))
        naive = NaiveWay(raw_port, course.speakers) if course.naive else None
        await send_the_day()
        rounds: list[dict[str, float]] = []
        for number in range(-_WARM_UPS, course.rounds):
            measured = await _round(raw, naive, ours, fleet, broker)
            if number >= 0:
                rounds.append(measured)
                yield {"kind": "round", "course": course.name, "round": number, **measured}
        result = _result(course, rounds)
        result["resident_mb"] = round(resident_mb(os.getpid()), 1)
        if course.idle:
            result["idle_cpu_percent"] = await _idle()
        yield result


async def _round(raw: RawLimit, naive: NaiveWay | None, ours: OurPath, fleet: int, broker: int) -> dict[str, float]:
    """Each way once, one after the other, so that what the machine does besides hits all alike."""
    measured = {"raw_ms": _ms(await raw.once())}
    await asyncio.sleep(_BETWEEN_S)
    if naive is not None:
        sent, all_back = await naive.once()
        measured |= {"naive_sent_ms": _ms(sent), "naive_ms": _ms(all_back)}
        await asyncio.sleep(_BETWEEN_S)
    pids = {"core": os.getpid(), "fleet": fleet, "broker": broker}
    before = {name: cpu_seconds(pid) for name, pid in pids.items()}
    done = await ours.once()
    after = {name: cpu_seconds(pid) for name, pid in pids.items()}
    await asyncio.sleep(_BETWEEN_S)
    return measured | {
        "submit_ms": _ms(done.submitted_to_accepted),
        "received_ms": _ms(done.accepted_to_last_received),
        "durable_ms": _ms(done.accepted_to_last_durable),
        "stop_ms": _ms(done.stop_to_last_silent),
        "mode_ms": _ms(done.switch_to_last_proven),
        **{f"cpu_{name}_ms": _ms(after[name] - before[name]) for name in pids},
    }


def _result(course: Course, rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    middle = {name: round(median([r[name] for r in rounds]), 1) for name in rounds[0]}
    result: dict[str, Any] = {
        "kind": "result",
        "course": course.name,
        "speakers": course.speakers,
        "rounds": course.rounds,
        "fleet": course.fleet,
        "median": middle,
        "ratio_to_raw": round(middle["durable_ms"] / middle["raw_ms"], 2),
        "us_per_endpoint": round(middle["durable_ms"] * 1000 / course.speakers, 1),
        "raw_us_per_endpoint": round(middle["raw_ms"] * 1000 / course.speakers, 1),
    }
    if course.naive:
        result["times_faster_than_naive"] = round(middle["naive_ms"] / middle["durable_ms"], 2)
    return result


async def _idle() -> float:
    """Processor time of the core with all speakers connected and nothing to do, in percent of one core."""
    await asyncio.sleep(3)
    before = cpu_seconds(os.getpid())
    await asyncio.sleep(_IDLE_S)
    return round((cpu_seconds(os.getpid()) - before) / _IDLE_S * 100, 1)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
