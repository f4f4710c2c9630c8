"""What one coil is to do, without a board: time is a number here."""

from __future__ import annotations

import pytest

from broadcast_core.model import (
    Authority,
    Certainty,
    DeliveryKey,
    DeliveryKind,
    Level,
    Progress,
    Reason,
    ResumeRule,
    SoundClass,
    Standing,
    Urgency,
)
from drivers.serial_relay import wire
from drivers.serial_relay.coil import PATIENCE_S, Coil

P = Progress


class Bench:
    """A coil, a clock, and a board that does at once what it is told, unless it is `deaf`."""

    def __init__(self):
        self.now = 100.0
        self.said = []
        self.coil = Coil(1000.0, self.said.append)
        self.deaf = False

    def key(self, alert, revision, kind):
        return DeliveryKey(alert_id=alert, revision=revision, kind=kind, endpoint_id="h")

    def sound(self, steps, alert="a", revision=1, rank=SoundClass.EMERGENCY, resume=ResumeRule.START, **changes):
        order = {
            "key": self.key(alert, revision, DeliveryKind.START),
            "coil": wire.Coil(line="L", unit=1, number=0),
            "standing": Standing(
                sound_class=rank,
                authority=Authority.DISTRICT,
                level=Level.RED,
                urgency=Urgency.IMMEDIATE,
                certainty=Certainty.OBSERVED,
            ),
            "issued_ms": int(self.now * 1000),
            "starts": self.now,
            "expires": self.now + 1000,
            "steps": tuple(steps),
            "max_on_s": 1000.0,
            "resume": resume,
        }
        self.coil.sound(wire.Sound(**(order | changes)), self.now)
        self.serve()

    def stop(self, alert="a", revision=1, lasts=1000.0):
        key = self.key(alert, revision, DeliveryKind.STOP)
        coil = wire.Coil(line="L", unit=1, number=0)
        self.coil.silence(wire.Silence(key=key, coil=coil, expires=self.now + lasts), self.now)
        self.serve()

    def serve(self):
        intent = self.coil.intent(self.now)
        if not self.deaf:
            self.coil.acknowledged(intent, self.now)
            self.coil.proved(intent, self.now, self.now)

    def run(self, seconds, step=0.5):
        """Let time pass; returns when the coil was on, as a string of + and - per step."""
        seen = ""
        for _ in range(round(seconds / step)):
            seen += "+" if self.coil.intent(self.now).on else "-"
            self.serve()
            self.now += step
        return seen

    def of(self, alert="a", kind=DeliveryKind.START, revision=None):
        return [
            e
            for e in self.said
            if isinstance(e, wire.Evidence)
            and (e.key.alert_id, e.key.kind) == (alert, kind)
            and revision in (None, e.key.revision)
        ]

    def last(self, alert="a", kind=DeliveryKind.START, revision=None):
        finals = [e for e in self.of(alert, kind, revision) if e.progress.ended]
        assert len(finals) == 1, finals
        return finals[0]


@pytest.fixture
def b():
    return Bench()


def test_a_pattern_that_was_read_back_whole_is_finished(b):
    b.sound([(2, 1), (2, 1)])
    assert b.run(8) == "++++--++++------"
    assert [e.progress for e in b.of()] == [P.SENT, P.RECEIVED, P.STARTED, P.FINISHED]
    assert b.last().played_s == 4.0


def test_a_sound_that_was_missed_is_never_made_good(b):
    b.sound([(2, 1), (2, 1), (2, 1)])
    b.run(2.5)
    b.deaf = True
    b.coil.troubled(Reason.BOARD_SILENT, "no answer", doubt=True)
    b.run(3)
    b.deaf = False
    b.run(5)
    last = b.last()
    assert (last.progress, last.reason) == (P.FAILED, Reason.BOARD_SILENT)
    assert "2 of 3 sounds" in last.detail
    assert last.played_s == 4.0


def test_time_in_which_the_board_could_not_be_asked_is_not_counted(b):
    b.sound([(10, 0)])
    b.run(4)
    b.deaf = True
    b.coil.troubled(Reason.BOARD_SILENT, "no answer", doubt=True)
    b.run(2)
    b.deaf = False
    b.run(6)
    assert b.last().progress is P.FINISHED
    assert 7.0 <= b.last().played_s < 9.0


def test_too_little_of_a_pattern_is_not_finished(b):
    b.sound([(10, 0)], starts=b.now - 4)
    b.run(8)
    assert (b.last().progress, b.last().reason) == (P.FAILED, Reason.INTERRUPTED)


def test_an_end_that_is_not_proven_is_said_and_a_stop_is_tried_on(b):
    b.sound([(100, 0)])
    b.run(2)
    b.deaf = True
    b.coil.troubled(Reason.PORT_LOST, "unplugged", doubt=True)
    b.stop()
    b.run(PATIENCE_S + 1)
    assert [(e.progress, e.reason) for e in b.of()][-1] == (P.FAILED, Reason.PORT_LOST)
    assert b.of(kind=DeliveryKind.STOP)[-1].retry_after_s is not None
    assert b.coil.urgent
    b.deaf = False
    b.run(1)
    assert b.of()[-1].progress is P.STOPPED
    assert b.of(kind=DeliveryKind.STOP)[-1].progress is P.FINISHED
    assert not b.coil.urgent


def test_a_write_from_before_the_stop_proves_no_silence(b):
    b.sound([(1, 5), (1, 0)])
    b.run(2)
    silence_between_sounds = b.coil.intent(b.now)
    assert not silence_between_sounds.on
    b.deaf = True
    b.stop()
    b.coil.proved(silence_between_sounds, b.now, b.now)
    assert P.FINISHED not in [e.progress for e in b.of(kind=DeliveryKind.STOP)]


@pytest.mark.parametrize(
    ("resume", "after"),
    [
        (ResumeRule.START, "++++++++----"),
        (ResumeRule.POSITION, "++++++------"),
        (ResumeRule.LIVE, "++----------"),
        (ResumeRule.SKIP, "------------"),
    ],
)
def test_what_was_interrupted_goes_on_by_its_own_rule(b, resume, after):
    b.sound([(4, 0)], alert="low", resume=resume)
    assert b.run(1) == "++"
    b.sound([(1, 1)], alert="high", rank=SoundClass.AIR_RAID)
    assert b.run(2) == "++--"
    assert b.run(6) == after
    finished = resume in (ResumeRule.START, ResumeRule.POSITION)
    assert b.last("low").progress is (P.FINISHED if finished else P.FAILED)
    if resume is ResumeRule.SKIP:
        assert b.last("low").reason is Reason.PREEMPTED


def test_one_that_waited_for_all_its_life_was_preempted(b):
    b.sound([(50, 0)], alert="high", rank=SoundClass.AIR_RAID)
    b.sound([(2, 0)], alert="low", expires=b.now + 5)
    b.run(6)
    assert (b.last("low").progress, b.last("low").reason) == (P.FAILED, Reason.PREEMPTED)
    assert P.RECEIVED in [e.progress for e in b.of("low")]


def test_a_stop_of_one_alert_leaves_another_sounding(b):
    b.sound([(50, 0)], alert="other")
    b.sound([(50, 0)], alert="a")
    b.stop("a")
    assert b.run(1) == "++"
    assert b.last("a").progress is P.STOPPED
    assert b.last("a", DeliveryKind.STOP).detail == "another alert holds the coil"


def test_a_stop_names_revisions_up_to_its_own(b):
    b.sound([(50, 0)], revision=3)
    b.stop(revision=2)
    assert b.run(1) == "++"
    b.sound([(50, 0)], revision=2)
    assert b.last(revision=2).progress is P.STOPPED
    assert b.run(1) == "++"


def test_a_newer_revision_takes_the_place_even_if_it_is_worth_less(b):
    b.sound([(50, 0)], revision=1, rank=SoundClass.AIR_RAID)
    b.sound([(1, 0)], revision=2, rank=SoundClass.EMERGENCY)
    assert b.last(revision=1).progress is P.STOPPED
    b.run(2)
    assert b.last(revision=2).progress is P.FINISHED


def test_a_stop_is_forgotten_when_it_expires(b):
    b.stop(lasts=5.0)
    b.now += 6
    b.sound([(1, 0)])
    b.run(2)
    assert b.last().progress is P.FINISHED


def test_a_pattern_taken_over_keeps_the_proof_of_the_worker_that_died(b):
    proof = wire.Proof(anchor=b.now - 4, phases=(1, 2), played_s=2.0, started=True)
    b.sound([(2, 1), (2, 0)], starts=b.now - 4, proof=proof)
    b.run(2)
    assert b.last().progress is P.FINISHED
    assert P.STARTED not in [e.progress for e in b.of()]


def test_a_pattern_that_ended_without_a_worker_says_so(b):
    proof = wire.Proof(anchor=b.now - 9, phases=(1,), played_s=2.0, started=True)
    b.sound([(2, 1), (2, 0)], starts=b.now - 9, proof=proof)
    b.run(1)
    assert (b.last().progress, b.last().reason) == (P.FAILED, Reason.DRIVER_CRASHED)


def test_every_change_is_announced(b):
    """Whoever sleeps until `next_change` misses nothing."""
    b.sound([(2, 1), (2, 0)], starts=b.now + 1.0, expires=b.now + 5.2)
    b.sound([(1, 0)], alert="later", starts=b.now + 9.0, rank=SoundClass.AIR_RAID)
    edges = []
    while (change := b.coil.next_change(b.now)) is not None:
        assert change > b.now
        b.now = change
        b.serve()
        edges.append(round(b.now - 100, 3))
    assert edges == [1.0, 3.0, 4.0, 5.2, 9.0, 10.0]
