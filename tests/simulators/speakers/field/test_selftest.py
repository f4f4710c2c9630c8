"""A simulated speaker proves itself over a real broker: as its hardware is, in silence, and by the test key only."""

from __future__ import annotations

from typing import Any

import pytest

from broadcast_core.model import SPEAKER_PARTS, read_parts
from broadcast_core.signing import KeyScope
from drivers.ip_speaker.wire import Topics
from drivers.ip_speaker.wire.command import SelfTestCommand, Target
from simulators.speakers import Fault, FaultKind, Faults, Fleet
from tests.simulators.speakers.field.conftest import TOPICS, ZONE, now_ms

ONE, TWO, THREE = "SPK-0001", "SPK-0002", "SPK-0003"
_sequence = iter(range(10_000, 20_000))


def command(audio: Any, target: Target, *, alert: str = "t1", lifetime_ms: int = 60_000) -> SelfTestCommand:
    now = now_ms()
    return SelfTestCommand(
        domain="live", epoch=1, seq=next(_sequence), iat=now, exp=now + lifetime_ms, target=target, alert=alert,
        rev=1, parts=tuple(SPEAKER_PARTS), audio=audio, clock_ms=2000,
    )  # fmt: skip


async def send(core: Any, test: SelfTestCommand, topic: str, scope: KeyScope = KeyScope.TEST) -> bytes:
    token: bytes = core.pen.sign(test, scope)
    await core.publish(topic, token)
    return token


async def ask(core: Any, audio: Any, endpoint_id: str, **more: Any) -> bytes:
    return await send(core, command(audio, Target(endpoints=(endpoint_id,)), **more), TOPICS.own(endpoint_id))


def verdicts(core: Any, endpoint_id: str, alert: str = "t1") -> dict[str, bool]:
    return {r.part.value: r.ok for r in read_parts(core.receipts(endpoint_id, alert)[-1].detail)}


async def test_a_sound_speaker_proves_every_part_in_silence(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(250), 250)
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await ask(core, audio, ONE)
        await core.until(lambda: "finished" in core.words(ONE, "t1"), "its proof")
        assert core.words(ONE, "t1") == ["received", "finished"]
        assert verdicts(core, ONE) == dict.fromkeys(("fetch", "amplifier", "clock", "storage"), True)
        assert media.served[audio.sha256] == 1
        assert all(fleet.played(i) == () for i in core.ids)
        assert core.words(TWO, "t1") == []


@pytest.mark.parametrize(
    ("fault", "part", "reason"),
    [
        (Fault(kind=FaultKind.AMPLIFIER, ids=frozenset({ONE})), "amplifier", "hardware"),
        (Fault(kind=FaultKind.STORAGE, ids=frozenset({ONE})), "storage", "storage_full"),
        (Fault(kind=FaultKind.WRONG_HASH, ids=frozenset({ONE})), "fetch", "content_mismatch"),
    ],
)
async def test_each_fault_is_answered_honestly(
    core: Any, media: Any, make_wav: Any, fault: Fault, part: str, reason: str
) -> None:
    audio = media.put(make_wav(250), 250)
    async with Fleet(core.provision, faults=Faults(faults=(fault,))) as fleet:
        await fleet.ready()
        await ask(core, audio, ONE)
        await core.until(lambda: f"failed/{reason}" in core.words(ONE, "t1"), reason)
        found = verdicts(core, ONE)
        assert [p for p, ok in found.items() if not ok] == [part]


async def test_a_clock_that_is_off_is_told_and_no_test_sets_it(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(250), 250)
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        fleet.afflict(Fault(kind=FaultKind.CLOCK, ids=frozenset({ONE}), seconds=-60))  # slow
        await ask(core, audio, ONE)
        await core.until(lambda: "failed/clock_off" in core.words(ONE, "t1"), "the fault")
        await ask(core, audio, ONE, alert="t2")
        await core.until(lambda: "failed/clock_off" in core.words(ONE, "t2"), "the fault, still")
        await core.query(ONE, alert="t2")  # signed by a key that tells the time
        await ask(core, audio, ONE, alert="t3")
        await core.until(lambda: "finished" in core.words(ONE, "t3"), "the clock that was set")


async def test_a_file_that_cannot_be_had_is_a_failure(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(250), 250)
    media.status = 503
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await ask(core, audio, ONE)
        await core.until(lambda: "failed/content_unavailable" in core.words(ONE, "t1"), "the failure")


async def test_the_same_test_is_answered_from_memory_and_a_late_one_not_begun(
    core: Any, media: Any, make_wav: Any
) -> None:
    audio = media.put(make_wav(250), 250)
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        token = await ask(core, audio, ONE)
        await core.until(lambda: "finished" in core.words(ONE, "t1"), "its proof")
        fleet.reboot(ONE)
        await fleet.ready()
        before = len(core.words(ONE, "t1"))
        await core.publish(TOPICS.own(ONE), token)
        await core.until(lambda: len(core.words(ONE, "t1")) > before, "the answer again")
        assert core.words(ONE, "t1")[-1] == "finished"
        assert media.served[audio.sha256] == 1
        await ask(core, audio, ONE, alert="t2", lifetime_ms=-1000)
        await core.until(lambda: core.words(ONE, "t2") == ["failed/expired"], "its refusal")


async def test_a_test_key_reaches_one_endpoint_and_no_other_key_tests(core: Any, media: Any, make_wav: Any) -> None:
    audio = media.put(make_wav(250), 250)
    topics: Topics = TOPICS
    async with Fleet(core.provision) as fleet:
        await fleet.ready()
        await send(core, command(audio, Target(endpoints=(ONE, TWO))), topics.own(ONE))
        await send(core, command(audio, Target(zone=ZONE, version=core.version)), topics.zone(ZONE, 0))
        await send(core, command(audio, Target(endpoints=(ONE,))), topics.own(ONE), KeyScope.CONTROL)
        await send(core, command(audio, Target(endpoints=(ONE,))), topics.own(ONE), KeyScope.EMERGENCY)
        await send(core, command(audio, Target(endpoints=(TWO,))), topics.own(ONE))  # at the wrong one
        await ask(core, audio, ONE, alert="t2")  # comes after all these
        await core.until(lambda: "finished" in core.words(ONE, "t2"), "the one that is right")
        await core.until(lambda: fleet.refused()["scope"] == 1 + len(core.ids) + 2, "the refusals")
        assert all(core.words(i, "t1") == [] for i in core.ids)
        assert media.served[audio.sha256] == 1
