"""Publicity known ahead: kept over a reboot, played without the core, put aside in an emergency, reported once."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

import pytest

from broadcast_core.model import Domain
from broadcast_core.signing import KeyScope, Verifier
from drivers.ip_speaker.wire import MalformedMessage, Topics, command
from drivers.ip_speaker.wire.command import (
    Audio,
    ClipEntry,
    ModeCommand,
    SpokenContent,
    StartCommand,
    Target,
)
from simulators.speakers import memory as flash
from simulators.speakers.device import Device, Habits
from simulators.speakers.downloads import STORE_BYTES, Downloads, Fetched
from simulators.speakers.effects import Effect, Fetch, Say, SoundBegan
from simulators.speakers.guard import Guard
from simulators.speakers.memory import Memory
from simulators.speakers.signed_time import DeviceClock, Oscillator

ME = "SPK-0001"
MINUTE = 60_000
NEWS, SONG = "aa" * 32, "bb" * 32


def audio(sha256: str, ms: int, size: int = 1000) -> Audio:
    return Audio(sha256=sha256, url="http://192.0.2.1/media", mime="audio/mpeg", size=size, ms=ms)


def programme(
    bench: Any, *, alert: str = "P", rev: int = 1, delay: int = 10 * MINUTE, resume: str = "live", **words: Any
) -> StartCommand:
    """News of a minute and, after a gap of half a minute, a song of a minute."""
    return StartCommand(
        **bench.pen.stamp(bench.utc, bench.utc + delay + words.pop("life", 5 * MINUTE)),
        target=words.pop("target", Target(endpoints=(ME,))),
        alert=alert,
        rev=rev,
        sound_class="publicity",
        authority="district",
        level=0,
        urgency="Unknown",
        certainty="Unknown",
        start_at=bench.utc + delay,
        content=SpokenContent(
            programme=(
                ClipEntry(item="news", audio=audio(NEWS, MINUTE), at_ms=0, resume=resume),
                ClipEntry(item="song", audio=audio(SONG, MINUTE), at_ms=MINUTE + 30_000, resume=resume),
            ),
            **words,
        ),
        volume=40,
    )


def signed(bench: Any, start: StartCommand) -> bytes:
    return bench.pen.sign(start, KeyScope.PUBLICITY)


def supply(bench: Any) -> None:
    for sha256 in (NEWS, SONG):
        bench.supply(MINUTE, sha256=sha256, asked=sha256)


def switch(bench: Any, mode: str, *, alert: str = "M1", floor: int = 0, target: Target | None = None) -> list[Effect]:
    change = ModeCommand(
        **bench.pen.stamp(bench.utc, None),
        target=target or Target(endpoints=(ME,)),
        alert=alert,
        rev=1,
        mode=mode,
        volume_floor=floor,
    )
    return bench.hear(bench.pen.sign(change, KeyScope.CONTROL))


def reconnect(bench: Any, live: tuple[bytes, ...] = (), **words: Any) -> Any:
    """A new connection, and the core's answer to its hello; the hello."""
    bench.device.connecting()
    bench.device.connected()
    first = None
    while not bench.device.settled:
        (say,) = bench.device.subscribed(bench.now)
        first = first or say.report
        bench.hear(
            bench.pen.sign(
                bench.pen.orders(bench.utc, say.report.nonce, live, bench.zones, **words), KeyScope.CONTROL
            )
        )
    return first


def plays(receipts: list[Any]) -> list[Any]:
    return [(r.alert, r.progress, r.played_ms, r.plays) for r in receipts if r.plays]


class TestProgramme:
    def test_it_is_fetched_ahead_played_in_its_time_and_reported_once_within_a_minute(
        self, bench: Any, read: Any
    ) -> None:
        effects = bench.hear(signed(bench, programme(bench)))
        assert read.words(effects) == ["received"]
        delays = [fetch.delay_ms for fetch in read.fetches(effects)]
        assert len(delays) == 2
        assert all(0 <= delay < 10 * MINUTE for delay in delays)
        supply(bench)
        begins = bench.now + 10 * MINUTE
        effects = bench.run(14 * MINUTE)
        assert [(at - begins, what) for at, what in read.sounds(effects)] == [
            (0, "P/1 audio@0"),
            (MINUTE, "complete"),
            (MINUTE + 30_000, "P/1 audio@0"),
            (2 * MINUTE + 30_000, "complete"),
        ]
        assert {e.volume for e in effects if isinstance(e, SoundBegan)} == {40}
        assert read.words(effects) == ["finished"]
        assert plays(read.receipts(effects)) == [
            ("P", "finished", 2 * MINUTE, (("news", 1, MINUTE, None), ("song", 1, MINUTE, None)))
        ]

    def test_the_last_receipt_waits_at_random(self, new_bench: Callable[[], Any], read: Any) -> None:
        waits = set()
        for seed in range(20):
            bench = new_bench()
            bench.greet()
            bench.device._day._random.seed(seed)
            bench.hear(signed(bench, programme(bench, delay=0)))
            supply(bench)
            bench.run(MINUTE)
            while not read.receipts(bench.effects)[-1].plays:
                bench.run(500)
            waits.add(bench.now - read.receipts(bench.effects)[-1].at + 1_800_000_000_000)
        assert len(waits) > 10
        assert all(0 <= wait <= MINUTE + 500 for wait in waits)

    def test_audio_that_never_came_is_told_with_its_reason(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        bench.supply(MINUTE, sha256=SONG, asked=SONG)
        effects = bench.run(15 * MINUTE)
        assert plays(read.receipts(effects))[0][3] == (
            ("news", 0, 0, "content_unavailable"),
            ("song", 1, MINUTE, None),
        )

    def test_it_goes_on_without_the_core(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.device.lost()
        effects = bench.run(14 * MINUTE)
        assert len(read.sounds(effects)) == 4
        hello = reconnect(bench, due={"P": 1})
        assert [r.progress for r in hello.evidence if r.plays] == ["finished"]
        assert hello.holds == {"P": 1}

    def test_after_a_reboot_without_the_core_it_is_silent_until_it_has_the_time(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.boot()
        assert read.sounds(bench.run(10 * MINUTE + 20_000)) == []
        hello = reconnect(bench, due={"P": 1})
        assert hello.holds == {"P": 1}
        assert read.sounds(bench.effects)[-1][1] == "P/1 audio@20000"

    def test_a_reboot_in_the_middle_joins_and_tells_of_it(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.run(10 * MINUTE + 30_000)
        bench.memory = flash.load(flash.dump({ME: bench.memory}))[ME]  # all that a real reboot leaves
        bench.boot()
        bench.run(5_000)
        reconnect(bench, due={"P": 1})
        effects = bench.run(5 * MINUTE)
        assert read.sounds(bench.effects)[-4][1] == "P/1 audio@35000"
        ((_, progress, ms, (news, song)),) = plays(read.receipts(effects))
        assert progress == "finished"
        assert (news[1], news[3], song) == (1, "interrupted", ("song", 1, MINUTE, None))
        assert 50_000 <= news[2] <= 55_000  # a checkpoint every 5 s
        assert ms == news[2] + song[2]

    def test_what_is_not_due_any_more_is_forgotten_also_in_the_flash(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.push(due={})
        assert read.words(bench.run(MINUTE)) == ["stopped"]
        assert bench.memory.day == {}
        bench.boot()
        reconnect(bench)
        assert read.sounds(bench.run(15 * MINUTE)) == []

    def test_older_orders_do_not_take_away_what_came_after_them(self, bench: Any, read: Any) -> None:
        orders = bench.pen.orders(bench.utc, None, (), bench.zones)
        bench.hear(signed(bench, programme(bench)))
        bench.hear(bench.pen.sign(orders, KeyScope.CONTROL))
        assert bench.device.player.holds("P", 1)
        assert "P" in bench.memory.day

    def test_a_new_revision_in_orders_goes_on_without_a_gap(self, bench: Any, read: Any) -> None:
        first = programme(bench, delay=0)
        bench.hear(signed(bench, first))
        supply(bench)
        # Its audio came after it had begun: too late for the news, in time for the song.
        bench.run(MINUTE + 40_000)
        second = programme(bench, rev=2, delay=first.start_at - bench.utc, life=6 * MINUTE)
        effects = bench.push((signed(bench, second),), due={"P": 2})
        assert read.sounds(effects) == [(bench.now, "replaced"), (bench.now, "P/2 audio@10000")]
        assert bench.memory.day["P"].rev == 2

    def test_a_stop_that_came_before_the_flash_was_opened_again_holds(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.boot()
        bench.stop(alert="P")
        reconnect(bench, due={"P": 1})
        assert read.sounds(bench.run(15 * MINUTE)) == []

    def test_a_forged_start_in_the_flash_is_not_believed(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        held = bench.memory.day["P"]
        held.token = held.token[:-6] + "AAAAAA"
        bench.boot()
        reconnect(bench, due={"P": 1})
        assert bench.device.refused["nested"] == 1
        assert read.sounds(bench.run(15 * MINUTE)) == []

    def test_it_does_not_play_twice(self, bench: Any, read: Any) -> None:
        token = signed(bench, programme(bench))
        bench.hear(token)
        supply(bench)
        bench.run(15 * MINUTE)
        assert read.words(bench.hear(token)) == ["finished"]
        reconnect(bench, (token,), due={"P": 1})
        assert read.sounds(bench.run(MINUTE)) == []

    def test_the_time_is_asked_for_once_shortly_before(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench, delay=60 * MINUTE)))
        supply(bench)
        due = bench.now + 60 * MINUTE
        asked = []
        while bench.now < due:
            asked += [bench.now for _ in read.hellos(bench.run(1000))]
            if asked and not bench.device.settled:
                break
        assert len(asked) == 1
        assert 30_000 - 1000 <= due - asked[0] <= 180_000

    def test_an_alert_interrupts_it_and_it_comes_back(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.run(10 * MINUTE + 10_000)
        bench.start(alert="A")
        effects = bench.run(4 * MINUTE)
        assert [what for _, what in read.sounds(effects)][:3] == ["complete", "P/1 audio@12000", "complete"]


class TestMode:
    def test_emergency_ends_publicity_at_once_raises_the_volume_and_is_proven(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.run(10 * MINUTE + 10_000)
        effects = switch(bench, "emergency", floor=80)
        assert read.sounds(effects) == [(bench.now, "interrupted")]
        assert [(r.alert, r.progress) for r in read.receipts(effects)] == [("M1", "received"), ("M1", "finished")]
        assert [r.progress for r in read.receipts(bench.query(alert="M1"))] == ["finished"]
        (began,) = [e for e in bench.start(volume=30) if isinstance(e, SoundBegan)]
        assert began.volume == 80
        bench.run(10_000)
        effects = switch(bench, "peacetime", alert="M2")
        assert read.sounds(effects) == [(bench.now, "P/1 audio@20000")]

    def test_none_begins_while_it_holds_also_after_a_reboot(self, bench: Any, read: Any) -> None:
        switch(bench, "emergency")
        bench.hear(signed(bench, programme(bench)))
        supply(bench)
        bench.boot()
        assert bench.memory.mode == "emergency"
        reconnect(bench, due={"P": 1}, mode="emergency")
        assert read.sounds(bench.run(10 * MINUTE + 30_000)) == []
        effects = bench.push(due={"P": 1})
        assert read.sounds(effects) == [(bench.now, "P/1 audio@30000")]

    def test_orders_tell_the_mode_to_those_that_were_away(self, bench: Any, read: Any) -> None:
        bench.hear(signed(bench, programme(bench, delay=0)))
        bench.device.lost()
        reconnect(bench, due={"P": 1}, mode="emergency", volume_floor=70)
        assert (bench.memory.mode, bench.memory.volume_floor) == ("emergency", 70)

    def test_an_older_change_does_not_undo_a_newer_one(self, bench: Any, read: Any) -> None:
        stamp = bench.pen.stamp(bench.utc, None)
        late = ModeCommand(**stamp, target=Target(endpoints=(ME,)), alert="M0", rev=1, mode="peacetime")
        switch(bench, "emergency")
        effects = bench.hear(bench.pen.sign(late, KeyScope.CONTROL))
        assert [(r.progress, r.detail) for r in read.receipts(effects)] == [("stopped", "superseded")]
        older = bench.pen.orders(bench.utc, None, (), bench.zones)
        switch(bench, "emergency", alert="M2")
        bench.hear(bench.pen.sign(older, KeyScope.CONTROL))
        assert bench.memory.mode == "emergency"

    def test_only_the_control_key_may_switch_and_only_whom_it_names(self, bench: Any) -> None:
        switch(bench, "emergency", target=Target(endpoints=("SPK-0002",)))
        change = ModeCommand(
            **bench.pen.stamp(bench.utc, None), target=Target(endpoints=(ME,)), alert="M", rev=1, mode="emergency"
        )
        bench.hear(bench.pen.sign(change, KeyScope.PUBLICITY))
        assert bench.memory.mode == "peacetime"
        assert bench.device.refused["scope"] == 1


class TestWire:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"tone": "attention"},
            {"audio": audio(NEWS, 1000)},
            {"text": (("zh", "你好"),)},
            {"late": "sometimes"},
            {"grace_ms": -1},
            {"programme": (ClipEntry(item="x", audio=audio(NEWS, 1000), at_ms=0, resume="never"),)},
            {"programme": (ClipEntry(item="x", audio=audio(NEWS, 0), at_ms=0),)},
            {"programme": (ClipEntry(item="x", audio=audio(NEWS, 1000), at_ms=-1),)},
            {"programme": tuple(ClipEntry(item="x", audio=audio(NEWS, 1000), at_ms=999 * n) for n in range(2))},
            {"programme": tuple(ClipEntry(item="x", audio=audio(NEWS, 1), at_ms=n) for n in range(201))},
        ],
    )
    def test_a_malformed_mix_is_refused(self, bench: Any, wrong: Any) -> None:
        start = programme(bench)
        command.decode(command.encode(start))
        words = {name: getattr(start.content, name) for name in SpokenContent.__struct_fields__} | wrong
        bad = {name: getattr(start, name) for name in StartCommand.__struct_fields__} | {
            "content": SpokenContent(**words)
        }
        with pytest.raises(MalformedMessage):
            command.decode(command.encode(StartCommand(**bad)))

    def test_only_publicity_has_a_programme(self, bench: Any) -> None:
        start = programme(bench)
        bad = {name: getattr(start, name) for name in StartCommand.__struct_fields__} | {"sound_class": "emergency"}
        with pytest.raises(MalformedMessage):
            command.decode(command.encode(StartCommand(**bad)))

    @pytest.mark.parametrize("wrong", [{"mode": "party"}, {"mode": "emergency", "volume_floor": 101}])
    def test_a_mode_that_does_not_exist_is_refused(self, bench: Any, wrong: Any) -> None:
        change = ModeCommand(**bench.pen.stamp(bench.utc, None), target=Target(), alert="M", rev=1, **wrong)
        with pytest.raises(MalformedMessage):
            command.decode(command.encode(change))


def test_the_store_is_bounded_and_drops_the_oldest() -> None:
    store: dict[str, flash.Stored] = {}
    downloads = Downloads(Random(1), store)
    size = STORE_BYTES // 4
    for n in range(6):
        sha256 = f"{n:064x}"
        downloads.want_ahead(audio(sha256, 1000, size), 0)
        downloads.came(sha256, Fetched(sha256=sha256, size=size, ms=1000), still_needed=True)
    assert list(store) == [f"{n:064x}" for n in range(2, 6)]
    assert downloads.held(f"{5:064x}") is not None


class Street:
    """Many devices with wrong and drifting clocks, and a core that answers their hellos, in one machine's time."""

    def __init__(self, pen: Any, number: int, random: Random) -> None:
        self.pen, self.random = pen, random
        self.machine = 0.0  # seconds
        self.began: dict[str, list[float]] = {}
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._tie = count()
        self.due: dict[str, int] = {}
        guard = Guard(Verifier({key.key_id: key for key in pen.trusted}), Domain.LIVE)
        self.devices = {}
        for n in range(number):
            name = f"SPK-{n:04}"
            oscillator = Oscillator(0.0, random.choice([-100, 100, random.uniform(-100, 100)]))
            clock = DeviceClock(self.utc() + random.randrange(-5000, 5000), oscillator.ms(0.0))
            device = Device(name, Topics("tocsin/1", Domain.LIVE), guard.open, Memory(), clock, Random(n), Habits())
            self.devices[name] = (device, oscillator)
            self.began[name] = []

    def utc(self) -> int:
        return 1_800_000_000_000 + round(self.machine * 1000)

    def later(self, delay_s: float, what: Callable[[], None]) -> None:
        heapq.heappush(self._queue, (self.machine + delay_s, next(self._tie), what))

    def network(self, what: Callable[[], None]) -> None:
        self.later(self.random.uniform(0.002, 0.012), what)

    def run(self, until: float) -> None:
        while True:
            wakes = [
                (max(oscillator.machine(wake), self.machine), name)
                for name, (device, oscillator) in self.devices.items()
                if (wake := device.next_wake(oscillator.ms(self.machine))) is not None
            ]
            wake = min(wakes, default=(until, ""))
            if self._queue and self._queue[0][0] <= min(wake[0], until):
                self.machine, _, what = heapq.heappop(self._queue)
                what()
            elif wake[0] < until:
                self.machine = wake[0]
                device, oscillator = self.devices[wake[1]]
                self.carry_out(wake[1], device.woken(oscillator.ms(self.machine)))
            else:
                self.machine = until
                return

    def carry_out(self, name: str, effects: list[Effect]) -> None:
        _, oscillator = self.devices[name]
        for effect in effects:
            if isinstance(effect, SoundBegan):
                self.began[name].append(oscillator.machine(effect.at))
            elif isinstance(effect, Fetch):
                body = Fetched(sha256=effect.audio.sha256, size=effect.audio.size, ms=effect.audio.ms)
                self.later(effect.delay_ms / 1000, self.fetched(name, body))
            elif isinstance(effect, Say) and type(effect.report).__name__ == "HelloReport":
                self.network(self.hello(name, effect.report.nonce))  # type: ignore[union-attr]

    def fetched(self, name: str, body: Fetched) -> Callable[[], None]:
        device, oscillator = self.devices[name]
        return lambda: self.carry_out(name, device.fetched(body.sha256, body, oscillator.ms(self.machine)))

    def hello(self, name: str, nonce: str) -> Callable[[], None]:
        def answer() -> None:
            orders = self.pen.orders(self.utc(), nonce, (), {}, me=name, due=self.due, heartbeat_s=100_000.0)
            self.tell(name, self.pen.sign(orders, KeyScope.CONTROL))

        return answer

    def tell(self, name: str, token: bytes) -> None:
        device, oscillator = self.devices[name]
        self.network(lambda: self.carry_out(name, device.heard(token, False, oscillator.ms(self.machine))))


@pytest.mark.parametrize("beacons", [True, False])
def test_speakers_with_wrong_and_drifting_clocks_start_together(new_bench: Callable[[], Any], beacons: bool) -> None:
    """Clocks up to 5 s off, crystals up to 100 ppm off, an hour between the order and the start: 50 ms."""
    bench = new_bench()
    street = Street(bench.pen, 24, Random(5))
    for name, (device, oscillator) in street.devices.items():
        device.connecting()
        device.connected()
        street.carry_out(name, device.subscribed(oscillator.ms(0.0)))
    street.run(5.0)
    start = programme(
        bench, delay=3_600_000 + 5_000, target=Target(endpoints=tuple(street.devices)), life=10 * MINUTE
    )
    street.due = {"P": 1}
    for name in street.devices:
        street.tell(name, signed(bench, start))
    for at in range(15, 3700, 15):
        street.run(float(at))
        if beacons and at % 60 == 0:
            token = bench.pen.sign(bench.pen.beacon(street.utc()), KeyScope.CONTROL)
            for name in street.devices:
                street.tell(name, token)
    street.run(3800.0)
    due = (start.start_at - 1_800_000_000_000) / 1000
    begins = [began[0] for began in street.began.values()]
    assert max(begins) - min(begins) < 0.050
    assert max(abs(begin - due) for begin in begins) < 0.050
