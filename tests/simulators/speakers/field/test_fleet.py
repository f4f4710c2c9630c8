"""The fleet at a real broker: what a core can rely on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from broadcast_core.signing import KeyScope
from drivers.ip_speaker.wire import provision
from drivers.ip_speaker.wire.command import Target
from simulators.speakers import Fleet, FleetOptions, Habits

ONE, TWO = "SPK-0001", "SPK-0002"
QUICK = Habits(patience_ms=2_000)


async def test_all_are_connected_and_have_their_orders(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        assert await fleet.ready() == 6
        for endpoint_id in core.ids:
            first, second = core.hellos(endpoint_id)
            assert (first.zones, second.zones) == ({}, {"430103": 7})
            assert first.session == second.session
            assert first.nonce != second.nonce


async def test_one_start_to_the_zone_is_received_started_and_finished_by_all(
    core: Any, media: Any, make_wav: Any
) -> None:
    audio = media.put(make_wav(700), 700)
    core.tones = {"attention": media.put(make_wav(300, 880), 300)}
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await core.until(lambda: all(fleet.remembered(i).tones for i in core.ids), "the tones")
        await core.start(audio=audio)
        await core.until(lambda: len(core.who("finished")) == 6, "finished")
        for endpoint_id in core.ids:
            assert core.words(endpoint_id) == ["received", "started", "finished"]
            tone, speech = fleet.played(endpoint_id)
            assert (tone.what, speech.what, speech.sha256) == ("tone", "audio", audio.sha256)
            assert tone.played_ms % 300 == 0
            assert speech.played_ms == 700
            assert core.receipts(endpoint_id)[-1].played_ms == tone.played_ms + 700
            assert tone.began <= speech.began
    assert media.served[audio.sha256] == 6


async def test_verified_and_fetched_once_for_all_it_is_the_same(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(300), 300)
    async with Fleet(core.provision, options=FleetOptions(verify="once", fetch="once")) as fleet:
        await fleet.ready()
        await core.start(audio=audio)
        await core.until(lambda: len(core.who("finished")) == 6, "finished")
    assert media.served[audio.sha256] == 1


async def test_a_pulled_cable_is_told_by_the_will_sealed_and_not_retained(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        fleet.disconnect(ONE)
        await core.until(lambda: bool(core.gone()), "a will")
        ((who, gone, retained),) = core.gone()
        assert (who, gone.session, retained) == (ONE, core.hellos(ONE)[-1].session, False)
        fleet.reconnect(ONE)
        await core.until(lambda: core.hellos(ONE)[-1].session == gone.session + 1, "the next session")


async def test_alive_comes_at_the_pace_of_the_orders(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        alive = [r for who, r, _ in core.heard if who == ONE and type(r).__name__ == "AliveReport"]
        await core.until(
            lambda: (
                sum(who == ONE and type(r).__name__ == "AliveReport" for who, r, _ in core.heard) >= len(alive) + 2
            ),
            "heartbeats",
        )


async def test_a_retained_command_is_ignored_now_and_by_those_that_connect_later(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        start = core.pen.start(_now(), Target(zone="430103", version=7))
        await core.publish("tocsin/1/live/zone/430103/0", core.pen.sign(start, KeyScope.EMERGENCY), retain=True)
        fleet.reboot(ONE)
        await fleet.ready()
        await core.start(alert="B")
        await core.until(lambda: len(core.who("finished", "B")) == 6, "the other alert")
        assert core.words() == []
        assert fleet.refused()["retained"] >= 5


async def test_a_stop_while_speakers_are_away_keeps_them_silent_when_they_come_back(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        fleet.disconnect(TWO)
        await core.start(start_at=_now() + 60_000)
        await core.until(lambda: len(core.who("received")) == 5, "received")
        fleet.disconnect(ONE)
        stop = await core.stop()
        await core.until(lambda: len(core.who("finished", kind="stop")) == 4, "stopped")
        fleet.reconnect(ONE)
        fleet.reconnect(TWO)
        await core.until(lambda: ONE in core.who("stopped"), "stopped by the orders")
        await core.publish("tocsin/1/live/zone/430103/0", stop)
        await core.until(lambda: len(core.who("finished", kind="stop")) == 6, "the stop's proof")
        assert all(fleet.played(i) == () for i in core.ids)


async def test_what_was_played_is_not_played_again_by_a_replay_or_a_reboot(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        token = await core.start()
        await core.until(lambda: len(core.who("finished")) == 6, "finished")
        await core.publish("tocsin/1/live/zone/430103/0", token)
        await core.until(lambda: core.words(ONE).count("finished") == 2, "the answer to the replay")
        fleet.reboot(ONE)
        await core.until(lambda: core.words(ONE).count("finished") >= 3, "the evidence in hello")
        await fleet.ready()
        assert [p.what for p in fleet.played(ONE)] == ["tone"]


async def test_a_reboot_in_the_middle_is_told_and_not_played_again(core: Any, media: Any, make_wav: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await core.start(audio=media.put(make_wav(2000), 2000))
        await core.until(lambda: ONE in core.who("started"), "started")
        fleet.reboot(ONE)
        await core.until(lambda: ONE in core.who("failed/interrupted"), "interrupted")
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        assert [p.why for p in fleet.played(ONE)] == ["power"]


async def test_an_older_membership_asks_and_then_plays(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        core.version = 8
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 6, "finished after asking")
        assert core.hellos(ONE)[-1].zones == {"430103": 7}


async def test_a_forged_command_makes_no_sound_and_no_receipt(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        start = core.pen.start(_now(), Target(zone="430103", version=7))
        for token in (
            core.pen.sign(start, KeyScope.EMERGENCY)[:-6] + b"AAAAAA",
            core.pen.sign(start, KeyScope.PUBLICITY),
        ):
            await core.publish("tocsin/1/live/zone/430103/0", token)
        await core.start(alert="B")
        await core.until(lambda: len(core.who("finished", "B")) == 6, "the true one")
        assert core.words() == []
        assert fleet.refused(ONE)["signature"] == 1
        assert fleet.refused(ONE)["scope"] == 1


async def test_a_broker_that_dies_with_everything_it_knew_delays_and_loses_nothing(
    core: Any, mosquitto: Any, media: Any, make_wav: Any
) -> None:
    audio = media.put(make_wav(1500), 1500)
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await core.start(audio=audio)
        await core.until(lambda: len(core.who("started")) == 6, "started")
        mosquitto.kill()
        mosquitto.start()
        await core.until(lambda: len(core.who("finished")) == 6, "the evidence in hello")
        assert all([p.what for p in fleet.played(i)].count("audio") == 1 for i in core.ids)


async def test_a_core_that_does_not_answer_is_asked_again_and_nothing_starts_meanwhile(core: Any) -> None:
    core.answering = False
    async with Fleet(core.provision) as fleet:
        await core.until(lambda: all(core.hellos(i) for i in core.ids), "hellos")
        await core.start()
        core.answering = True
        await core.until(lambda: len(core.who("finished")) == 6, "the start from the orders")
        await fleet.ready()
        hellos = core.hellos(ONE)
        assert hellos[0].nonce != hellos[1].nonce
        assert hellos[0].session == hellos[1].session


async def test_what_is_remembered_outlives_the_process(core: Any, tmp_path: Path) -> None:
    options = FleetOptions(flash=tmp_path / "flash")
    async with Fleet(core.provision, options=options) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 6, "finished")
        session = core.hellos(ONE)[-1].session
    async with Fleet(core.provision, options=options) as fleet:
        await fleet.ready()
        assert core.hellos(ONE)[-1].session == session + 1
        assert core.hellos(ONE)[-1].evidence[0].progress == "finished"
        assert fleet.played(ONE) == ()


async def test_every_stretch_of_sound_is_logged_when_it_begins_and_when_it_ends(core: Any, tmp_path: Path) -> None:
    log = tmp_path / "played.jsonl"
    async with Fleet(core.provision, options=FleetOptions(log=log, habits=QUICK)) as fleet:
        await fleet.ready()
        await core.start(volume=60)
        await core.until(lambda: len(core.who("finished")) == 6, "finished")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    mine = [line for line in lines if line["played"]["endpoint"] == ONE]
    assert [line["event"] for line in mine] == ["began", "ended"]
    played = mine[1]["played"]
    assert (played["alert"], played["what"], played["why"], played["volume"]) == ("A", "tone", "complete", 60)
    assert played["played_ms"] == 2000
    assert abs(played["began_utc"] - _now()) < 30_000


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
async def test_the_program_says_one_line_when_all_are_there_and_ends_when_told(
    core: Any, tmp_path: Path, how: signal.Signals
) -> None:
    file = tmp_path / "provision.json"
    file.write_bytes(provision.encode(core.provision))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.speakers", "--provision", str(file), "--count", "4",
        "--fault", f"offline={ONE}",
        stdout=asyncio.subprocess.PIPE, env=os.environ | {"TOCSIN_LANG": "en"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), 20)
        assert line.startswith(b"4 simulated speakers")
        assert core.hellos(TWO)
        assert not core.hellos(ONE)
        process.send_signal(how)
        assert await asyncio.wait_for(process.wait(), 10) == 0
        await core.until(lambda: len(core.gone()) == 3, "the wills of all that were connected")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_provision_that_makes_no_sense_is_refused_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "provision.json"
    file.write_text('{"v": 1}')
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.speakers", "--provision", str(file), stderr=asyncio.subprocess.PIPE
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert b"broker" in told


def _now() -> int:
    import time

    return time.time_ns() // 1_000_000
