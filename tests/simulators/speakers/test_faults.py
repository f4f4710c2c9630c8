"""Faults as configuration: who has which, and what is refused."""

from __future__ import annotations

import pytest

from simulators.speakers.faults import SOUND, Fault, FaultKind, Faults, MalformedFaults, parse, parse_one

IDS = [f"SPK-{n:04}" for n in range(1, 1100)]


def test_the_same_seed_picks_the_same_speakers_and_about_as_many_as_said() -> None:
    faults = parse(b'seed = 7\n[[fault]]\nkind = "slow"\nshare = 0.05\nseconds = 2.0\n')
    slow = {i for i in IDS if faults.of(i).late_s == 2.0}
    assert slow == {i for i in IDS if faults.of(i) is not SOUND}
    assert 30 <= len(slow) <= 80
    assert slow != {i for i in IDS if Faults(seed=8, faults=faults.faults).of(i) is not SOUND}


def test_a_speaker_may_have_several_faults() -> None:
    faults = Faults().plus(parse_one("duplicate-receipts=100%")).plus(parse_one("clock=SPK-0001,SPK-0002:-3"))
    assert faults.of("SPK-0002").duplicates == 1.0
    assert faults.of("SPK-0002").skew_ms == -3000
    assert faults.of("SPK-0003").skew_ms == 0


@pytest.mark.parametrize("kind", list(FaultKind))
def test_every_kind_does_something(kind: FaultKind) -> None:
    assert Faults(faults=(Fault(kind=kind, share=1.0),)).of("SPK-0001") != SOUND


@pytest.mark.parametrize(
    "text",
    [
        b"[[fault]]\nkind = 'haunted'",
        b"[[fault]]\nkind = 'slow'\nspeed = 3",
        b"seed = 'x'",
        b"= 3",
        b"\xff",
        b"sed = 1",
    ],
)
def test_what_makes_no_sense_is_refused(text: bytes) -> None:
    with pytest.raises(MalformedFaults):
        parse(text)


@pytest.mark.parametrize("text", ["haunted=5%", "slow=x%", "slow=5%:soon"])
def test_on_the_command_line_too(text: str) -> None:
    with pytest.raises(MalformedFaults):
        parse_one(text)
