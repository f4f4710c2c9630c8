"""Each rule of the protocol page, on the bare device: time is a number, and nothing is waited for."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, b64url
from drivers.ip_speaker.wire import command
from drivers.ip_speaker.wire.command import Audio, Membership, Target
from drivers.ip_speaker.wire.report import AliveReport
from simulators.speakers.effects import Fetch, Say, SoundBegan, Subscribe, Unsubscribe

ME = "SPK-0001"
ZONE = "430103"
T0 = 1_800_000_000_000


def in_zone(version: int = 7, *excluded: str) -> Target:
    return Target(zone=ZONE, version=version, excluded=excluded)


class TestGreeting:
    def test_it_subscribes_before_it_says_hello_and_says_it_only_then(self, cold: Any) -> None:
        cold.device.connecting()
        (subscribe,) = cold.device.connected()
        assert subscribe == Subscribe(("tocsin/1/live/down/SPK-0001", "tocsin/1/live/beacon"))
        (hello,) = cold.device.subscribed(0)
        assert hello.report.session == 1
        assert len(hello.report.nonce) >= 22

    def test_after_a_reboot_it_subscribes_to_the_zones_it_remembers_and_names_their_versions(
        self, bench: Any, read: Any
    ) -> None:
        bench.boot()
        bench.device.connecting()
        (subscribe,) = bench.device.connected()
        assert subscribe.topics[2:] == ("tocsin/1/live/zone/430103/0",)
        (hello,) = read.hellos(bench.device.subscribed(bench.now))
        assert hello.zones == {ZONE: 7}
        assert hello.session == 2

    def test_hello_is_repeated_with_a_nonce_of_its_own_at_doubling_intervals_up_to_a_minute(
        self, cold: Any, read: Any
    ) -> None:
        cold.device.connecting()
        cold.device.connected()
        first = read.hellos(cold.device.subscribed(0))
        hellos, times = first, [0]
        for _ in range(8):
            cold.now = max(cold.now, cold.device._greeting.next_wake())
            hellos += read.hellos(cold.device.woken(cold.now))
            times.append(cold.now)
        assert len({h.nonce for h in hellos}) == len(hellos) == 9
        gaps = [b - a for a, b in itertools.pairwise(times)]
        assert 3000 <= gaps[0] < 4500
        assert all(a <= b for a, b in itertools.pairwise(gaps[:5]))
        assert max(gaps) < 90_000

    def test_until_its_hello_is_answered_it_starts_nothing(self, cold: Any, read: Any) -> None:
        cold.device.connecting()
        cold.device.connected()
        cold.device.subscribed(0)
        assert cold.start() == []

    def test_orders_with_another_nonce_are_not_an_answer(self, cold: Any) -> None:
        cold.device.connecting()
        cold.device.connected()
        cold.device.subscribed(0)
        orders = cold.pen.orders(cold.utc, b64url(bytes(16)).decode())
        assert cold.hear(cold.pen.sign(orders, KeyScope.CONTROL)) == []
        assert not cold.device.settled

    def test_a_start_that_overtook_the_answer_is_asked_for(self, cold: Any, read: Any) -> None:
        """Signed after the orders, heard before them: it is not in them, and must not be lost."""
        cold.zones = {}
        cold.device.connecting()
        cold.device.connected()
        (hello,) = read.hellos(cold.device.subscribed(0))
        answer = cold.pen.sign(cold.pen.orders(cold.utc, hello.nonce), KeyScope.CONTROL)
        cold.start()
        cold.hear(answer)
        assert read.hellos(cold.run(1000))

    def test_a_start_that_is_in_the_answer_is_not_asked_for_again(self, cold: Any, read: Any) -> None:
        cold.zones = {}
        cold.device.connecting()
        cold.device.connected()
        (hello,) = read.hellos(cold.device.subscribed(0))
        start = cold.signed_start()
        cold.hear(start)
        cold.hear(cold.pen.sign(cold.pen.orders(cold.utc, hello.nonce, (start,)), KeyScope.CONTROL))
        assert read.hellos(cold.run(10_000)) == []

    def test_after_a_lost_connection_it_waits_for_an_answer_again(self, bench: Any, read: Any) -> None:
        bench.device.lost()
        bench.device.connecting()
        bench.device.connected()
        assert bench.start() == []
        bench.answer()
        assert read.words(bench.start(alert="B"))[0] == "received"

    def test_new_zones_are_subscribed_and_lead_to_another_hello(self, bench: Any, read: Any) -> None:
        zones = {"430103001": Membership(version=1, topic="tocsin/1/live/zone/430103001/0")}
        effects = bench.push(zones=zones)
        assert Unsubscribe(("tocsin/1/live/zone/430103/0",)) in effects
        assert Subscribe(("tocsin/1/live/zone/430103001/0",)) in effects
        assert not bench.device.settled
        assert read.hellos(bench.device.subscribed(bench.now))

    @pytest.mark.parametrize("topic", ["tocsin/1/live/zone/#", "tocsin/1/drill/zone/430103/0", "other/430103"])
    def test_a_topic_outside_its_tree_is_not_subscribed(self, bench: Any, topic: str) -> None:
        effects = bench.push(zones={"x": Membership(version=1, topic=topic)})
        assert not any(isinstance(e, Subscribe) for e in effects)

    def test_alive_rises_within_a_session_and_begins_anew_with_the_next(self, bench: Any) -> None:
        alive = [e.report for e in bench.run(100_000) if isinstance(e, Say) and isinstance(e.report, AliveReport)]
        assert [a.n for a in alive] == list(range(1, len(alive) + 1))
        assert len(alive) >= 4
        bench.device.lost()
        bench.greet()
        again = [e.report for e in bench.run(30_000) if isinstance(e, Say) and isinstance(e.report, AliveReport)]
        assert (again[0].session, again[0].n) == (alive[0].session + 1, 1)


class TestBelief:
    def test_a_forged_command_is_met_with_silence(self, bench: Any) -> None:
        token = bytearray(bench.signed_start())
        token[-10] ^= 1
        assert bench.hear(bytes(token)) == []
        assert bench.device.refused["signature"] == 1

    @pytest.mark.parametrize("token", [b"", b"..", b"a.b.c", b"\xff" * 100, b"e30.e30.e30"])
    def test_garbage_is_met_with_silence(self, bench: Any, token: bytes) -> None:
        assert bench.hear(token) == []

    def test_a_retained_command_is_ignored(self, bench: Any) -> None:
        assert bench.hear(bench.signed_start(), retained=True) == []
        assert bench.device.refused["retained"] == 1

    @pytest.mark.parametrize(
        ("sound_class", "scope", "obeyed"),
        [
            ("emergency", KeyScope.EMERGENCY, True),
            ("air-raid", KeyScope.EMERGENCY, True),
            ("drill", KeyScope.EMERGENCY, True),
            ("live-microphone", KeyScope.EMERGENCY, True),
            ("publicity", KeyScope.PUBLICITY, True),
            ("test", KeyScope.TEST, True),
            ("emergency", KeyScope.PUBLICITY, False),
            ("emergency", KeyScope.TEST, False),
            ("emergency", KeyScope.CONTROL, False),
            ("publicity", KeyScope.EMERGENCY, False),
            ("test", KeyScope.EMERGENCY, False),
        ],
    )
    def test_a_key_starts_only_what_its_scope_covers(
        self, bench: Any, sound_class: str, scope: KeyScope, obeyed: bool
    ) -> None:
        effects = bench.hear(bench.signed_start(scope, sound_class=sound_class))
        assert bool(effects) is obeyed

    @pytest.mark.parametrize(
        "target", [Target(endpoints=(ME, "SPK-0002")), in_zone(), Target(zone=ZONE, version=7, endpoints=(ME,))]
    )
    def test_a_test_key_reaches_one_endpoint_at_a_time(self, bench: Any, target: Target) -> None:
        assert bench.hear(bench.signed_start(KeyScope.TEST, sound_class="test", target=target)) == []

    @pytest.mark.parametrize("scope", [KeyScope.EMERGENCY, KeyScope.PUBLICITY, KeyScope.TEST])
    def test_only_a_control_key_stops_queries_orders_and_tells_the_time(self, bench: Any, scope: KeyScope) -> None:
        bench.start()
        target = Target(endpoints=(ME,))
        for written in (
            bench.pen.stop(bench.utc, target),
            bench.pen.query(bench.utc, target),
            bench.pen.orders(bench.utc, None),
            bench.pen.beacon(bench.utc + 10**9),
        ):
            assert bench.hear(bench.pen.sign(written, scope)) == []
        assert bench.device.clock.now(bench.now) == bench.utc

    def test_a_key_of_another_domain_starts_nothing_whatever_the_words_say(self, bench: Any) -> None:
        start = bench.pen.start(bench.utc, Target(endpoints=(ME,)))
        assert bench.hear(bench.pen.sign(start, KeyScope.EMERGENCY, Domain.DRILL)) == []
        drill = replace(start, domain="drill")
        assert bench.hear(bench.pen.sign(drill, KeyScope.EMERGENCY, Domain.DRILL)) == []
        assert bench.hear(bench.pen.sign(drill, KeyScope.EMERGENCY)) == []

    def test_a_field_it_does_not_know_is_ignored_unless_it_is_critical(self, bench: Any, read: Any) -> None:
        written = json.loads(command.encode(bench.pen.start(bench.utc, Target(endpoints=(ME,)))))
        harmless = bench.hear(bench.pen.sign(json.dumps(written | {"glow": 1}).encode(), KeyScope.EMERGENCY))
        assert read.words(harmless) == ["received", "started"]
        critical = json.dumps(written | {"alert": "B", "glow": 1, "crit": ["glow"]}).encode()
        assert read.words(bench.hear(bench.pen.sign(critical, KeyScope.EMERGENCY))) == ["failed/unsupported"]
        assert bench.hear(bench.pen.sign(critical, KeyScope.PUBLICITY)) == []

    @pytest.mark.parametrize("change", [{"v": 2}, {"authority": "galaxy"}, {"resume": "perhaps"}, {"level": 99}])
    def test_words_it_does_not_know_are_answered_with_unsupported(self, bench: Any, read: Any, change: Any) -> None:
        written = json.loads(command.encode(bench.pen.start(bench.utc, Target(endpoints=(ME,)))))
        effects = bench.hear(bench.pen.sign(json.dumps(written | change).encode(), KeyScope.EMERGENCY))
        assert read.words(effects) == ["failed/unsupported"]


class TestTime:
    def test_the_answer_to_hello_sets_the_clock_by_the_middle_of_the_exchange(self, cold: Any, read: Any) -> None:
        cold.device.connecting()
        cold.device.connected()
        (hello,) = read.hellos(cold.device.subscribed(0))
        cold.now = 400
        answer = cold.pen.orders(T0 + 5000, hello.nonce)
        cold.hear(cold.pen.sign(answer, KeyScope.CONTROL))
        assert cold.device.clock.now(400) == T0 + 5000 + 200
        assert cold.device.clock.trusted

    def test_an_answer_that_comes_after_a_repetition_sets_the_clock_by_the_hello_that_it_answers(
        self, cold: Any, read: Any
    ) -> None:
        cold.device.connecting()
        cold.device.connected()
        (hello,) = read.hellos(cold.device.subscribed(0))
        assert len(read.hellos(cold.run(4600))) == 1
        late = cold.pen.sign(cold.pen.orders(T0 + 200, hello.nonce), KeyScope.CONTROL)  # 4.4 s under way
        cold.hear(late)
        assert cold.device.clock.now(4600) == T0 + 200 + 2300
        assert cold.device.settled
        assert read.hellos(cold.run(60_000)) == []
        cold.hear(late)
        assert cold.device.refused["nonce"] == 1

    def test_an_answer_that_took_too_long_is_not_believed_and_asked_for_anew(self, cold: Any, read: Any) -> None:
        cold.device.connecting()
        cold.device.connected()
        (hello,) = read.hellos(cold.device.subscribed(0))
        cold.now = 10_001
        effects = cold.hear(cold.pen.sign(cold.pen.orders(T0, hello.nonce), KeyScope.CONTROL))
        (again,) = read.hellos(effects)
        assert again.nonce != hello.nonce
        assert not cold.device.settled

    def test_a_beacon_moves_a_slow_clock_forward_and_never_back(self, bench: Any) -> None:
        bench.device.clock.glitch(-30_000)
        bench.beacon()
        assert bench.device.clock.now(bench.now) == bench.utc
        old = bench.pen.sign(bench.pen.beacon(bench.utc - 60_000), KeyScope.CONTROL)
        bench.hear(old)
        assert bench.device.clock.now(bench.now) == bench.utc

    def test_a_key_for_publicity_cannot_let_alerts_expire(self, bench: Any) -> None:
        far = bench.utc + 10**9
        for sound_class, scope in (("publicity", KeyScope.PUBLICITY), ("test", KeyScope.TEST)):
            start = bench.pen.start(far, Target(endpoints=(ME,)), alert=sound_class, sound_class=sound_class)
            bench.hear(bench.pen.sign(start, scope))
            assert bench.device.clock.now(bench.now) == bench.utc
        bench.start()
        assert bench.device.player.sounding is not None
        assert bench.device.player.sounding.identifier == "A"

    def test_a_command_of_the_core_moves_a_slow_clock_forward(self, bench: Any) -> None:
        bench.device.clock.glitch(-30_000)
        bench.query(alert="unknown")
        assert bench.device.clock.now(bench.now) == bench.utc

    def test_a_fast_clock_is_put_right_by_asking(self, bench: Any, read: Any) -> None:
        bench.device.clock.glitch(30_000)
        bench.beacon()
        assert bench.device.clock.now(bench.now) == bench.utc + 30_000
        (hello,) = read.hellos(bench.run(11_000))[:1]
        bench.hear(bench.pen.sign(bench.pen.orders(bench.utc, hello.nonce, (), bench.zones), KeyScope.CONTROL))
        assert abs(bench.device.clock.now(bench.now) - bench.utc) < 10_000

    def test_old_beacons_cost_at_most_one_hello_a_minute(self, bench: Any, read: Any) -> None:
        old = bench.pen.sign(bench.pen.beacon(bench.utc - 60_000), KeyScope.CONTROL)
        hellos = 0
        for _ in range(50):
            bench.hear(old)
            for hello in read.hellos(bench.run(1000)):
                hellos += 1
                orders = bench.pen.orders(bench.utc, hello.nonce, (), bench.zones)
                bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert hellos == 1

    def test_a_wrong_clock_of_its_own_does_not_matter_once_orders_have_come(self, cold: Any, read: Any) -> None:
        assert abs(cold.device.clock.now(0) - T0) > 10**7
        cold.greet()
        assert read.words(cold.start(start_at=T0 + 2000)) == ["received"]
        effects = cold.run(3000)
        assert [e.at for e in effects if isinstance(e, SoundBegan)] == [2000]

    def test_what_arrives_after_its_expiry_never_starts(self, bench: Any, read: Any) -> None:
        token = bench.signed_start(exp=bench.utc + 1000)
        bench.now += 1001
        effects = bench.hear(token)
        assert read.words(effects) == ["failed/expired"]
        assert read.sounds(effects) == []
        assert read.words(bench.hear(token)) == ["failed/expired"]

    def test_what_began_before_its_expiry_plays_to_its_end(self, bench: Any, read: Any, make_audio: Any) -> None:
        bench.start(exp=bench.utc + 500, audio=make_audio())
        bench.supply(ms=3000)
        effects = bench.run(10_000)
        assert read.words(effects) == ["finished"]
        assert read.receipts(effects)[0].played_ms == 5000

    def test_orders_pushed_too_late_are_ignored(self, bench: Any, read: Any) -> None:
        bench.start()
        orders = bench.pen.orders(bench.utc - 700_000, None)
        bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert bench.device.player.sounding is not None


class TestOrder:
    def test_a_start_below_the_floor_is_ignored(self, bench: Any) -> None:
        token = bench.signed_start()
        bench.push()
        assert bench.hear(token) == []
        assert bench.device.refused["old"] == 1

    def test_the_floor_survives_a_reboot(self, bench: Any) -> None:
        token = bench.signed_start()
        bench.push()
        floor = bench.memory.floor
        bench.boot()
        assert bench.memory.floor == floor
        bench.greet()
        assert bench.hear(token) == []

    def test_a_higher_epoch_is_newer_whatever_its_sequence(self, bench: Any, read: Any) -> None:
        bench.pen.epoch, bench.pen.seq = 2, 0
        assert read.words(bench.start()) == ["received", "started"]

    def test_orders_that_were_overtaken_are_ignored(self, bench: Any) -> None:
        old = bench.pen.sign(bench.pen.orders(bench.utc, None, zones={}), KeyScope.CONTROL)
        bench.push()
        bench.hear(old)
        assert bench.memory.zones == bench.zones

    def test_an_answer_is_obeyed_even_if_the_core_lost_its_count(self, bench: Any, read: Any) -> None:
        bench.pen.epoch, bench.pen.seq = 0, 0
        bench.device.lost()
        bench.greet()
        assert bench.memory.floor[0] == 0
        assert read.words(bench.start()) == ["received", "started"]

    def test_orders_without_a_nonce_count_for_nothing_before_the_first_answer(self, cold: Any) -> None:
        cold.device.connecting()
        cold.device.connected()
        cold.device.subscribed(0)
        assert cold.push((cold.signed_start(),)) == []
        assert cold.memory.floor == (-1, -1)

    def test_orders_for_another_speaker_are_ignored(self, bench: Any) -> None:
        before = bench.memory.floor
        assert bench.push(me="SPK-0002") == []
        assert bench.memory.floor == before


class TestTarget:
    @pytest.mark.parametrize(
        ("target", "meant"),
        [
            (Target(endpoints=(ME,)), True),
            (Target(endpoints=("SPK-0002", ME)), True),
            (in_zone(), True),
            (Target(endpoints=("SPK-0002",)), False),
            (in_zone(7, "SPK-0002", ME), False),
            (Target(zone="430104", version=7), False),
            (Target(), False),
        ],
    )
    def test_a_start_is_for_those_it_names(self, bench: Any, target: Target, meant: bool) -> None:
        assert bool(bench.start(target=target)) is meant

    def test_a_zone_at_another_version_is_asked_about_and_not_played(self, bench: Any, read: Any) -> None:
        token = bench.signed_start(target=in_zone(8))
        assert bench.hear(token) == []
        (hello,) = read.hellos(bench.run(1))
        bench.zones = {ZONE: Membership(version=8, topic=bench.zones[ZONE].topic)}
        orders = bench.pen.orders(bench.utc, hello.nonce, (token,), bench.zones)
        effects = bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert read.words(effects) == ["received", "started"]

    def test_it_asks_at_most_once_in_five_seconds(self, bench: Any, read: Any) -> None:
        hellos = 0
        for n in range(90):
            bench.start(alert=f"A{n}", target=in_zone(8))
            for hello in read.hellos(bench.run(100)):
                hellos += 1
                orders = bench.pen.orders(bench.utc, hello.nonce, (), bench.zones)
                bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert hellos == 2

    def test_a_stop_is_obeyed_at_any_version(self, bench: Any, read: Any) -> None:
        bench.start()
        assert "stopped" in read.words(bench.stop(target=in_zone(8)))


class TestIdentity:
    def test_the_same_start_again_is_answered_and_not_played_again(self, bench: Any, read: Any) -> None:
        token = bench.signed_start()
        bench.hear(token)
        again = bench.hear(token)
        assert read.words(again) == ["started"]
        assert read.sounds(again) == []
        bench.run(10_000)
        assert read.words(bench.hear(token)) == ["finished"]

    def test_nor_after_a_reboot(self, bench: Any, read: Any) -> None:
        token = bench.signed_start()
        bench.hear(token)
        bench.run(10_000)
        bench.boot()
        effects = bench.greet((token,))
        assert read.words(effects) == []
        assert read.words(bench.start()) == ["finished"]

    def test_signed_anew_with_a_higher_sequence_it_is_still_the_same(self, bench: Any, read: Any) -> None:
        bench.start()
        assert read.sounds(bench.start()) == []

    def test_a_higher_revision_replaces_the_lower_at_once(self, bench: Any, read: Any) -> None:
        bench.start()
        bench.run(500)
        effects = bench.start(rev=2)
        assert read.words(effects) == ["stopped", "received", "started"]
        stopped = read.receipts(effects)[0]
        assert (stopped.rev, stopped.detail, stopped.played_ms) == (1, "superseded", 500)

    def test_a_higher_revision_that_starts_later_silences_the_lower_at_once(self, bench: Any, read: Any) -> None:
        bench.start()
        effects = bench.start(rev=2, start_at=bench.utc + 60_000)
        assert read.words(effects) == ["stopped", "received"]
        assert bench.device.player.sounding is None

    def test_a_lower_revision_never_starts(self, bench: Any, read: Any) -> None:
        old = bench.signed_start(rev=1)
        bench.start(rev=2)
        effects = bench.hear(old)
        assert read.words(effects) == ["stopped"]
        assert read.receipts(effects)[0].detail == "superseded"
        assert bench.device.player.holds("A", 2)

    def test_what_was_received_but_forgotten_in_a_reboot_before_it_sounded_may_start(
        self, bench: Any, read: Any
    ) -> None:
        token = bench.signed_start(start_at=bench.utc + 60_000)
        assert read.words(bench.hear(token)) == ["received"]
        bench.boot()
        assert "received" in read.words(bench.greet((token,)))
        assert read.words(bench.run(70_000)) == ["started", "finished"]


class TestStop:
    def test_it_ends_what_sounds_and_proves_both(self, bench: Any, read: Any) -> None:
        bench.start()
        bench.run(700)
        receipts = read.receipts(bench.stop())
        assert [(r.kind, r.progress) for r in receipts] == [
            ("stop", "received"),
            ("start", "stopped"),
            ("stop", "finished"),
        ]
        assert receipts[1].played_ms == 700
        assert bench.run(5000) == [] or bench.device.player.sounding is None

    def test_it_ends_what_waits(self, bench: Any, read: Any) -> None:
        bench.start(start_at=bench.utc + 5000)
        assert "stopped" in read.words(bench.stop())
        assert read.sounds(bench.run(20_000)) == []

    def test_a_start_that_comes_after_its_stop_stays_silent_and_says_why(self, bench: Any, read: Any) -> None:
        late = bench.signed_start()
        bench.stop()
        effects = bench.hear(late)
        assert read.words(effects) == ["stopped"]
        assert read.receipts(effects)[0].detail == "stopped before it came"
        bench.boot()
        bench.greet()
        assert read.words(bench.start()) == ["stopped"]

    def test_it_silences_nothing_newer(self, bench: Any, read: Any) -> None:
        stop = bench.pen.sign(bench.pen.stop(bench.utc, Target(endpoints=(ME,))), KeyScope.CONTROL)
        bench.hear(stop)
        bench.start(rev=2)
        bench.start(alert="B")
        bench.hear(stop)
        assert bench.device.player.holds("A", 2)
        assert bench.device.player.holds("B", 1)

    def test_it_is_answered_again_and_also_below_the_floor(self, bench: Any, read: Any) -> None:
        stop = bench.pen.sign(bench.pen.stop(bench.utc, Target(endpoints=(ME,))), KeyScope.CONTROL)
        bench.push()
        assert [r.progress for r in read.receipts(bench.hear(stop))] == ["received", "finished"]
        assert [r.progress for r in read.receipts(bench.hear(stop))] == ["finished"]

    def test_it_is_obeyed_before_hello_is_answered_and_after_its_expiry(self, bench: Any, read: Any) -> None:
        bench.start()
        bench.device.lost()
        stop = bench.pen.stop(bench.utc, Target(endpoints=(ME,)), exp=bench.utc + 10)
        bench.now += 100
        assert "stopped" in read.words(bench.hear(bench.pen.sign(stop, KeyScope.CONTROL)))

    def test_it_lets_the_next_one_sound(self, bench: Any, read: Any) -> None:
        bench.start(alert="A")
        bench.start(alert="B", level=3)
        effects = bench.stop(alert="A")
        assert read.sounds(effects)[-1][1] == "B/1 tone@0"


class TestReceipts:
    def test_a_query_is_answered_with_the_last_evidence_of_start_and_stop(self, bench: Any, read: Any) -> None:
        bench.start()
        assert [r.progress for r in read.receipts(bench.query())] == ["started"]
        bench.stop()
        assert {(r.kind, r.progress) for r in read.receipts(bench.query())} == {
            ("start", "stopped"),
            ("stop", "finished"),
        }

    def test_a_query_about_what_it_never_heard_of_is_not_answered(self, bench: Any) -> None:
        bench.start()
        assert bench.query(alert="B") == []
        assert bench.query(rev=2) == []

    def test_evidence_is_kept_until_an_hour_after_the_expiry(self, bench: Any, read: Any) -> None:
        bench.start(exp=bench.utc + 60_000)
        bench.run(60_000 + 3_590_000)
        bench.device.lost()
        bench.greet()
        assert read.words(bench.query()) == ["finished"]
        bench.run(20_000)
        bench.device.lost()
        bench.greet()
        assert read.words(bench.query()) == []

    def test_hello_carries_the_newest_evidence_up_to_twenty(self, bench: Any, read: Any) -> None:
        for n in range(25):
            bench.start(alert=f"A{n}")
            bench.stop(alert=f"A{n}")
            bench.run(10)
        bench.device.lost()
        bench.device.connecting()
        (hello,) = read.hellos(bench.device.subscribed(bench.now))
        assert len(hello.evidence) == 20
        assert {r.alert for r in hello.evidence} == {f"A{n}" for n in range(15, 25)}

    def test_the_flash_is_bounded_and_drops_first_what_is_over_first(self, bench: Any) -> None:
        for n in range(600):
            bench.start(alert=f"A{n}", exp=bench.utc + 600_000 + n)
            bench.stop(alert=f"A{n}", exp=bench.utc + 600_000 + n)
        assert len(bench.memory.alerts) <= 500
        assert "A599" in bench.memory.alerts
        assert "A0" not in bench.memory.alerts


class TestOrders:
    def test_what_is_live_starts_and_each_is_proven_by_its_own_key(self, bench: Any, read: Any) -> None:
        good = bench.signed_start(alert="A")
        wrong = bench.signed_start(KeyScope.PUBLICITY, alert="B")
        assert read.words(bench.push((good, wrong))) == ["received", "started"]
        assert not bench.device.player.holds("B", 1)

    def test_what_is_live_for_a_zone_starts_whatever_the_zones_version_is_now(self, bench: Any, read: Any) -> None:
        assert read.words(bench.push((bench.signed_start(target=in_zone(3)),))) == ["received", "started"]

    def test_a_nested_test_for_another_speaker_does_not_start(self, bench: Any, read: Any) -> None:
        token = bench.signed_start(KeyScope.TEST, sound_class="test", target=Target(endpoints=("SPK-0002",)))
        assert read.words(bench.push((token,))) == []

    def test_what_is_not_in_them_stops(self, bench: Any, read: Any) -> None:
        bench.start(alert="A")
        b = bench.signed_start(alert="B", start_at=bench.utc + 9000)
        bench.hear(b)
        effects = bench.push((b,))
        assert [(r.alert, r.progress, r.detail) for r in read.receipts(effects)] == [
            ("A", "stopped", "not in orders")
        ]
        assert bench.device.player.holds("B", 1)

    def test_what_came_after_them_goes_on(self, bench: Any) -> None:
        orders = bench.pen.orders(bench.utc, None, (), bench.zones)
        bench.start()
        bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert bench.device.player.holds("A", 1)

    def test_a_stop_that_was_missed_is_made_up_for_by_the_answer_to_hello(self, bench: Any, read: Any) -> None:
        bench.start()
        bench.device.lost()
        bench.now += 1000
        assert read.words(bench.greet()) == ["stopped"]

    def test_missing_tones_are_fetched_with_a_delay_and_then_used(
        self, bench: Any, read: Any, make_audio: Any
    ) -> None:
        tones = {"attention": make_audio(size=10, sha256="cd" * 32)}
        (fetch,) = read.fetches(bench.push(tones=tones))
        assert 0 <= fetch.delay_ms <= 1500
        bench.supply(1000, sha256="cd" * 32, size=10, asked="cd" * 32)
        assert read.fetches(bench.push(tones=tones)) == []
        (began,) = [e for e in bench.start() if isinstance(e, SoundBegan)]
        assert began.sha256 == "cd" * 32

    def test_the_heartbeat_follows_the_orders(self, bench: Any) -> None:
        bench.push(heartbeat_s=5.0)
        bench.run(30_000)
        alive = [e for e in bench.run(50_000) if isinstance(e, Say) and isinstance(e.report, AliveReport)]
        assert 8 <= len(alive) <= 12


class TestSound:
    def test_the_tone_begins_at_start_at_and_the_audio_is_fetched_meanwhile(
        self, bench: Any, read: Any, make_audio: Callable[..., Audio]
    ) -> None:
        effects = bench.start(start_at=bench.utc + 1000, audio=make_audio())
        assert [type(e) for e in effects] == [Say, Fetch]
        bench.supply(ms=3000)
        effects = bench.run(10_000)
        assert read.sounds(effects) == [
            (1000, "A/1 tone@0"),
            (3000, "complete"),
            (3000, "A/1 audio@0"),
            (6000, "complete"),
        ]
        assert read.words(effects) == ["started", "finished"]
        assert read.receipts(effects)[-1].played_ms == 5000

    def test_without_audio_the_tone_alone_is_all(self, bench: Any, read: Any) -> None:
        effects = bench.start() + bench.run(10_000)
        assert read.words(effects) == ["received", "started", "finished"]
        assert read.receipts(effects)[-1].played_ms == 2000

    def test_the_tone_repeats_until_the_audio_is_there(self, bench: Any, read: Any, make_audio: Any) -> None:
        bench.start(audio=make_audio())
        bench.run(4500)
        bench.supply(ms=3000)
        effects = bench.run(20_000)
        assert read.sounds(effects)[0:2] == [(6000, "complete"), (6000, "A/1 audio@0")]
        assert read.receipts(effects)[-1].played_ms == 9000

    def test_patience_ends_and_what_was_heard_is_told(self, bench: Any, read: Any, make_audio: Any) -> None:
        effects = bench.start(audio=make_audio()) + bench.run(60_000)
        assert read.words(effects)[-1] == "failed/content_unavailable"
        assert read.receipts(effects)[-1].played_ms == 16_000

    def test_a_fetch_that_failed_is_tried_again_ever_more_slowly(
        self, bench: Any, read: Any, make_audio: Any
    ) -> None:
        bench.start(audio=make_audio())
        delays = [read.fetches(bench.nothing_came())[0].delay_ms for _ in range(7)]
        assert delays == [1000, 2000, 4000, 8000, 16000, 30000, 30000]

    def test_nobody_fetches_for_what_is_over(self, bench: Any, make_audio: Any) -> None:
        bench.start(audio=make_audio())
        bench.stop()
        assert bench.nothing_came() == []

    @pytest.mark.parametrize("body", [{"sha256": "ef" * 32}, {"size": 999}])
    def test_a_wrong_body_is_fetched_once_more_and_then_given_up(
        self, bench: Any, read: Any, make_audio: Any, body: Any
    ) -> None:
        bench.start(audio=make_audio())
        bench.run(100)
        (again,) = read.fetches(bench.supply(**body))
        assert again.delay_ms == 0
        assert bench.supply(**body) == []
        effects = bench.run(10_000)
        assert read.words(effects) == ["failed/content_mismatch"]
        assert read.receipts(effects)[-1].played_ms == 2000

    def test_audio_that_cannot_be_decoded_is_said_to_be_so(self, bench: Any, read: Any, make_audio: Any) -> None:
        bench.start(audio=make_audio())
        bench.supply(ms=None)
        assert read.words(bench.run(10_000)) == ["failed/content_undecodable"]

    def test_a_silent_start_gives_all_receipts_and_no_sound(self, bench: Any, read: Any, make_audio: Any) -> None:
        bench.start(silent=True, audio=make_audio())
        bench.run(100)
        effects = bench.supply()
        assert read.words(bench.effects) == ["received", "started", "finished"]
        assert read.sounds(bench.effects) == []
        assert read.receipts(effects)[-1].played_ms == 0

    def test_a_silent_start_disturbs_nothing_and_waits_for_nothing(self, bench: Any, read: Any) -> None:
        bench.start(alert="B")
        effects = bench.start(alert="A", silent=True, sound_class="air-raid")
        assert read.words(effects) == ["received", "started", "finished"]
        assert bench.device.player.sounding.identifier == "B"

    @pytest.mark.parametrize(("volume", "heard"), [(255, 100), (30, 30), (0, 0)])
    def test_the_volume_is_the_commands_unless_it_is_255(self, bench: Any, volume: int, heard: int) -> None:
        (began,) = [e for e in bench.start(volume=volume) if isinstance(e, SoundBegan)]
        assert began.volume == heard


class TestReboot:
    def test_what_was_cut_off_is_reported_as_interrupted_and_not_played_again(
        self, bench: Any, read: Any, make_audio: Any
    ) -> None:
        token = bench.signed_start(audio=make_audio())
        bench.hear(token)
        bench.supply(ms=60_000)
        bench.run(12_000)
        bench.boot()
        bench.device.connecting()
        (hello,) = read.hellos(bench.device.subscribed(bench.now))
        (evidence,) = hello.evidence
        assert (evidence.progress, evidence.reason) == ("failed", "interrupted")
        assert 7_000 <= evidence.played_ms <= 12_000
        bench.greet((token,))
        assert read.sounds(bench.run(60_000)) == []

    def test_a_lost_connection_interrupts_nothing(self, bench: Any, read: Any) -> None:
        bench.start()
        bench.start(alert="B", start_at=bench.utc + 5000)
        bench.device.lost()
        assert read.words(bench.run(10_000)) == ["finished", "started", "finished"]
