"""Who sounds when: the device against an oracle that knows nothing but the rules, tick by tick."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broadcast_core.signing import KeyScope

TICK = 500  # ms; everything in these scenarios happens on a tick
TONE, AUDIO = 2000, 3000
CLASSES = ["publicity", "drill", "emergency", "air-raid"]  # ascending
LEVELS = [15, 0, 4, 3, 2, 1]  # ascending: test, unknown, blue … red
SCOPES = {"publicity": KeyScope.PUBLICITY}


@dataclass(frozen=True)
class Told:
    """One start of a scenario; `at`, `delay` and `life` in ticks."""

    at: int
    delay: int
    life: int
    sound_class: str
    level: int
    resume: str
    with_audio: bool

    @property
    def rank(self) -> tuple[int, int]:
        return CLASSES.index(self.sound_class), LEVELS.index(self.level)


@dataclass
class Expected:
    """The oracle's view of one item: how far it got, and what became of it."""

    told: Told
    name: str
    issued: int
    position: int = 0
    played: int = 0
    began: bool = False
    outranked: bool = False
    away_since: int = 0
    end: str = ""

    @property
    def length(self) -> int:
        return TONE + (AUDIO if self.told.with_audio else 0)


@dataclass
class Oracle:
    """Reads the rules literally, once a tick."""

    items: list[Expected] = field(default_factory=list)
    sounding: Expected | None = None

    def tick(self, tick: int) -> None:
        """Bring the last tick to its end: what sounded is `TICK` further, what expired is over."""
        if (item := self.sounding) is not None:
            item.position += TICK
            item.played += TICK
            if item.position >= item.length:
                item.end, self.sounding = "finished", None
        for item in self.items:
            if not item.end and item is not self.sounding and tick > item.told.at + item.told.life:
                item.end = "failed/preempted" if item.outranked else "failed/expired"
        self.choose(tick)

    def choose(self, tick: int) -> None:
        due = [i for i in self.items if not i.end and i.told.at + i.told.delay <= tick]
        best = max(due, key=lambda i: (i.told.rank, -i.issued, [-ord(c) for c in i.name]), default=None)
        if self.sounding is not None and best is not None and best.told.rank <= self.sounding.told.rank:
            best = self.sounding
        for item in due:
            item.outranked |= item is not best
        if best is None or best is self.sounding:
            return
        if self.sounding is not None:
            self.interrupt(self.sounding, tick)
        self.sounding = best
        if best.began and best.told.resume == "live":
            best.position += (tick - best.away_since) * TICK
            if best.position >= best.length:
                best.end, self.sounding = "failed/preempted", None
                self.choose(tick)
        best.began = True

    def interrupt(self, item: Expected, tick: int) -> None:
        item.away_since = tick
        if item.told.resume == "start":
            item.position = 0
        elif item.told.resume == "skip":
            item.end = "failed/preempted"


tolds = st.builds(
    Told,
    at=st.integers(0, 30),
    delay=st.integers(0, 6),
    life=st.integers(0, 40),
    sound_class=st.sampled_from(CLASSES),
    level=st.sampled_from(LEVELS),
    resume=st.sampled_from(["position", "start", "skip", "live"]),
    with_audio=st.booleans(),
)


# The fixtures are factories without state, so every example may use the same ones.
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scenario=st.lists(tolds, min_size=1, max_size=8))
def test_the_device_sounds_what_the_rules_say_and_ends_everything_once(
    new_bench: Callable[[], Any], read: Any, make_audio: Any, scenario: list[Told]
) -> None:
    bench, oracle = new_bench(), Oracle()
    bench.greet()
    bench.effects.clear()
    todo = sorted(scenario, key=lambda told: told.at)
    last = max(t.at for t in scenario) + 150
    for tick in range(last):
        oracle.tick(tick)
        while todo and todo[0].at == tick:
            _tell(bench, oracle, todo.pop(0), make_audio)
            oracle.choose(tick)
        _compare(bench, oracle)
        bench.run(TICK)
    _compare_ends(bench, oracle, read)
    _check_stretches(bench, read)


def _tell(bench: Any, oracle: Oracle, told: Told, make_audio: Any) -> None:
    name = f"A{len(oracle.items)}"
    sha = f"{len(oracle.items):064x}"
    token = bench.signed_start(
        SCOPES.get(told.sound_class, KeyScope.EMERGENCY),
        alert=name,
        sound_class=told.sound_class,
        level=told.level,
        resume=told.resume,
        start_at=bench.utc + told.delay * TICK,
        exp=bench.utc + told.life * TICK,
        audio=make_audio(sha256=sha) if told.with_audio else None,
    )
    oracle.items.append(Expected(told, name, bench.utc))
    bench.hear(token)
    if told.with_audio:
        bench.supply(AUDIO, sha256=sha, asked=sha)


def _compare(bench: Any, oracle: Oracle) -> None:
    sounding = bench.device.player.sounding
    expected = oracle.sounding
    assert (sounding and sounding.identifier) == (expected and expected.name)
    if sounding is not None and expected is not None:
        before = TONE if sounding.voice.what == "audio" else 0
        in_sound = sounding.position_ms + before + bench.now - bench.device.player.since
        assert in_sound == expected.position


def _compare_ends(bench: Any, oracle: Oracle, read: Any) -> None:
    for item in oracle.items:
        receipts = [r for r in read.receipts(bench.effects) if r.alert == item.name]
        words = [r.progress if r.reason is None else f"{r.progress}/{r.reason}" for r in receipts]
        assert words == ["received", *(["started"] if item.began else []), item.end]
        assert receipts[-1].played_ms == item.played


def _check_stretches(bench: Any, read: Any) -> None:
    """One loudspeaker: every sound ends before the next begins."""
    lines = read.sounds(bench.effects)
    assert [at for at, _ in lines] == sorted(at for at, _ in lines)
    for (_, began), (_, ended) in zip(lines[::2], lines[1::2], strict=True):
        assert "@" in began
        assert "@" not in ended
