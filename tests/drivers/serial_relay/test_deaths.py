"""Noise fails closed: whichever process dies or hangs, the boards' logs show the coils opened, and nobody is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from broadcast_core.errors import DriverUnavailable
from broadcast_core.model import Presence, Progress
from drivers.serial_relay import tree

pytestmark = pytest.mark.slow

P = Progress
CORE = Path(__file__).with_name("core_process.py")


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def sounding(b, start, until, **order):
    await b.send(start(**{"steps": [(30.0, 0.0)], **order}))
    await until(lambda: all(P.STARTED in b.progress(h.id) for h in b.horns))
    guard, worker = b.driver.processes
    assert guard is not None
    assert worker is not None
    return guard, worker


@pytest.mark.parametrize("victim", ["worker", "guard"])
async def test_a_killed_process_opens_the_coils_and_the_pattern_goes_on_where_it_stands(bench, start, until, victim):
    b = await bench({"L1": (1, 2), "L2": (1,)})
    guard, worker = await sounding(b, start, until, steps=[(5.0, 0.5), (0.8, 0.0)])
    os.kill({"worker": worker, "guard": guard}[victim], signal.SIGKILL)
    await until(lambda: all(len(b.edges(h.id)) >= 2 for h in b.horns))  # opened
    await until(lambda: not alive(guard) and not alive(worker))
    await b.ended()
    for horn in b.horns:
        sounds = b.sounds(horn.id)
        assert len(sounds) == 3
        assert sounds[1][1] - sounds[0][0] == pytest.approx(5.0, abs=0.7)  # not begun anew
        assert b.last(horn.id).progress is P.FINISHED
    assert b.silent()


async def test_a_hung_worker_is_ended_and_its_coils_opened_by_the_guard(bench, start, until):
    b = await bench({"L1": (1, 2), "L2": (1,)}, watchdog_s=0.8)
    guard, worker = await sounding(b, start, until)
    stopped_at = time.monotonic()
    os.kill(worker, signal.SIGSTOP)
    await until(lambda: all(len(b.edges(h.id)) >= 2 for h in b.horns))
    for horn in b.horns:
        assert b.edges(horn.id)[1].monotonic - stopped_at > 0.5  # it was the guard, and after the watchdog's time
    await until(lambda: not alive(guard) and not alive(worker))
    await until(lambda: all(len(b.edges(h.id)) >= 3 for h in b.horns))  # a new pair goes on


async def test_a_hung_worker_whose_guard_dies_wakes_up_and_opens_its_coils(bench, start, until):
    b = await bench()
    guard, worker = await sounding(b, start, until)
    os.kill(worker, signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    await until(lambda: len(b.edges("L1-1")) >= 2 and len(b.edges("L1-2")) >= 2)
    await until(lambda: not alive(worker))


async def test_a_hung_guard_is_replaced(bench, start, until):
    b = await bench(watchdog_s=0.3)
    guard, worker = await sounding(b, start, until)
    os.kill(guard, signal.SIGSTOP)
    await until(lambda: not alive(guard) and not alive(worker))
    await until(lambda: len(b.edges("L1-1")) >= 3)


async def test_a_stop_while_no_worker_runs_is_the_first_thing_the_next_one_hears(bench, start, stop, until):
    b = await bench()
    _, worker = await sounding(b, start, until)
    os.kill(worker, signal.SIGKILL)
    await until(lambda: not alive(worker))
    with contextlib.suppress(DriverUnavailable):
        await b.send(stop())
    await b.ended()
    assert all(b.last(h.id).progress is P.STOPPED for h in b.horns)
    assert all(len(b.sounds(h.id)) == 1 for h in b.horns)
    assert b.silent()


async def test_a_pair_that_cannot_live_is_a_fault_at_every_horn_and_the_channel_is_down(
    bench, start, until, monkeypatch
):
    b = await bench()
    await until(lambda: all(b.presence(h.id) for h in b.horns))
    monkeypatch.setattr(tree, "command", lambda *_: (sys.executable, "-c", "raise SystemExit(3)"))
    os.kill(b.driver.processes[1], signal.SIGKILL)
    await until(lambda: all(b.presence(h.id)[-1].detail == "no serial worker is running" for h in b.horns))
    assert all(b.presence(h.id)[-1].presence is Presence.SILENT for h in b.horns)

    async def refused():
        try:
            await b.send(start([(0.5, 0.0)], alert_id=f"try{time.monotonic()}"))
        except DriverUnavailable:
            return True
        return False

    while not await refused():  # between two attempts there may be a moment of hope
        await asyncio.sleep(0.01)


async def test_a_driver_that_is_closed_leaves_no_coil_closed_and_no_process(bench, start, until):
    b = await bench()
    guard, worker = await sounding(b, start, until)
    await b.driver.__aexit__(None, None, None)
    assert b.silent()
    assert not alive(guard)
    assert not alive(worker)


async def core(b, on_s=60.0):
    """A core in a process of its own with all horns of the bench sounding; returns it and its pair's ids."""
    await b.driver.__aexit__(None, None, None)
    process = await asyncio.create_subprocess_exec(
        sys.executable, CORE, b.settings.model_dump_json(), str(on_s), stdout=asyncio.subprocess.PIPE
    )
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    return process, *json.loads(line).values()


async def test_a_killed_core_takes_everything_with_it_and_the_coils_open(bench, until):
    b = await bench({"L1": (1, 2), "L2": (1,)})
    process, guard, worker = await core(b)
    await until(lambda: len(b.bus("L1").closed()) == 2 and b.bus("L2").closed())
    process.kill()
    await process.wait()
    await until(b.silent)
    await until(lambda: not alive(guard) and not alive(worker))


async def test_a_killed_core_with_a_hung_worker_leaves_it_to_the_guard(bench, until):
    b = await bench(watchdog_s=0.6)
    process, guard, worker = await core(b)
    await until(lambda: len(b.bus().closed()) == 2)
    os.kill(worker, signal.SIGSTOP)
    process.kill()
    await process.wait()
    await until(b.silent)
    await until(lambda: not alive(guard) and not alive(worker))


async def test_with_all_processes_dead_the_boards_own_timer_opens_the_coils(bench, until):
    b = await bench(timer_s=2)
    process, guard, worker = await core(b)
    await until(lambda: len(b.bus().closed()) == 2)
    for deadly in (signal.SIGSTOP, signal.SIGKILL):  # stopped first, so that none acts on another's death
        for pid in (worker, guard, process.pid):
            os.kill(pid, deadly)
    await process.wait()
    await until(b.silent)
    assert {e.cause for e in b.bus().edges if not e.closed} == {"timer"}


async def test_a_board_with_a_short_timer_is_kept_closed_for_as_long_as_it_is_wanted(bench, start):
    b = await bench(timer_s=1)
    await b.send(start([(3.0, 0.0)]))
    await b.ended()
    for horn in b.horns:
        [(on, off)] = b.sounds(horn.id)
        assert off - on == pytest.approx(3.0, abs=0.6)
        assert b.last(horn.id).progress is P.FINISHED
    assert {e.cause for e in b.bus().edges} == {"write"}
