"""Each fault that a fleet can be given does what its name says, and nothing else."""

from __future__ import annotations

from typing import Any

from drivers.ip_speaker.wire.command import Target
from simulators.speakers import Fault, FaultKind, Faults, Fleet

ONE, TWO = "SPK-0001", "SPK-0002"


def only(kind: FaultKind, *ids: str, **more: Any) -> Faults:
    return Faults(faults=(Fault(kind=kind, ids=frozenset(ids), **more),))


async def test_offline_is_not_connected_until_it_is_lifted(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.OFFLINE, ONE)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        assert core.hellos(ONE) == []
        fleet.faults = Faults()
        await core.until(lambda: ONE in core.who("finished"), "the one that came back")


async def test_a_fault_can_come_while_they_run(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        fleet.afflict(Fault(kind=FaultKind.OFFLINE, ids=frozenset({ONE})))
        await core.until(lambda: bool(core.gone()), "its will")
        assert await fleet.ready() == 6


async def test_slow_hears_everything_late(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.SLOW, ONE, seconds=0.5)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: len(core.who("started")) == 6, "started")
        began = {i: fleet.played(i)[0].began for i in core.ids}
        assert all(began[ONE] - began[i] >= 0.4 for i in core.ids if i != ONE)


async def test_deaf_says_hello_and_hears_nothing(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.DEAF, ONE)) as fleet:
        await fleet.ready()
        await core.until(lambda: bool(core.hellos(ONE)), "its hello")
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        assert core.words(ONE) == []
        assert fleet.played(ONE) == ()


async def test_silent_after_received_answers_a_query_with_received(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.SILENT_AFTER_RECEIVED, ONE)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        await core.query(ONE)
        await core.until(lambda: len(core.words(ONE)) == 2, "the answer")
        assert core.words(ONE) == ["received", "received"]
        assert fleet.played(ONE) == ()


async def test_wrong_hash_is_noticed_by_the_speaker_itself(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(300), 300)
    async with Fleet(core.provision, faults=only(FaultKind.WRONG_HASH, ONE)) as fleet:
        await fleet.ready()
        await core.start(audio=audio)
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        await core.until(lambda: ONE in core.who("failed/content_mismatch"), "its failure")
        assert {p.what for p in fleet.played(ONE)} == {"tone"}
        assert media.served[audio.sha256] == 7  # once more, then given up


async def test_duplicate_receipts_come_twice(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.DUPLICATE_RECEIPTS, ONE)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: core.words(ONE).count("finished") == 2, "the double")
        assert core.words(ONE) == [w for word in ("received", "started", "finished") for w in (word, word)]
        assert len(fleet.played(ONE)) == 1


async def test_reordered_receipts_all_come(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.REORDERED_RECEIPTS, *core.ids, seconds=3.0)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: all(len(core.words(i)) == 3 for i in core.ids), "all receipts")
        assert any(core.words(i) != ["received", "started", "finished"] for i in core.ids)


async def test_lost_receipts_are_remembered_and_told_when_asked(core: Any) -> None:
    async with Fleet(core.provision, faults=only(FaultKind.LOST_RECEIPTS, ONE)) as fleet:
        await fleet.ready()
        await core.start()
        await core.until(lambda: len(core.who("finished")) == 5, "the others")
        assert core.words(ONE) == []
        fleet.faults = Faults()
        await core.query(ONE)
        await core.until(lambda: core.words(ONE) == ["finished"], "the answer")


async def test_a_clock_that_is_off_and_drifts_starts_nothing_late(core: Any) -> None:
    faults = only(FaultKind.CLOCK, ONE, seconds=-3600, ppm=200.0)
    async with Fleet(core.provision, faults=faults) as fleet:
        await fleet.ready()
        await core.start(Target(endpoints=(ONE,)), exp=_now() - 1)
        await core.until(lambda: core.words(ONE) == ["failed/expired"], "its refusal")
        assert abs(core.receipts(ONE)[0].at - _now()) < 10_000


async def test_a_clock_that_jumps_back_while_it_runs_is_put_right_by_the_next_command(core: Any) -> None:
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        fleet.afflict(Fault(kind=FaultKind.CLOCK, ids=frozenset({ONE}), seconds=-3600))
        await core.start(Target(endpoints=(ONE,)), exp=_now() - 1)
        await core.until(lambda: core.words(ONE) == ["failed/expired"], "its refusal")


async def test_a_reboot_at_the_worst_moment_is_told(core: Any, media: Any, make_wav: Any) -> None:
    faults = only(FaultKind.REBOOT, ONE, at="started", seconds=0.1)
    async with Fleet(core.provision, faults=faults) as fleet:
        await fleet.ready()
        await core.start(audio=media.put(make_wav(1000), 1000))
        await core.until(lambda: ONE in core.who("failed/interrupted"), "interrupted")
        await core.until(lambda: len(core.who("finished")) == 5, "the others")


def _now() -> int:
    import time

    return time.time_ns() // 1_000_000
