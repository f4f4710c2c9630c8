"""Random lives of one loudspeaker. At every instant what sounds is what the rules say, and the sums are what sounded.

The rules are stated here a second time, as what may be observed, not as how the player gets there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from broadcast_core.clock import from_ms
from broadcast_core.model import (
    Authority,
    Certainty,
    LateRule,
    Level,
    Mode,
    Progress,
    Reason,
    ResumeRule,
    SoundClass,
    Standing,
    Urgency,
)
from broadcast_core.player import (
    Announcement,
    Change,
    Checkpoint,
    Clip,
    Ended,
    Instant,
    Item,
    Player,
    Programme,
    ProgrammeTrack,
    Sound,
    SoundBegan,
    SoundEnded,
    Started,
)
from broadcast_core.precedence import queue_key, weight

SECOND = 1000
TONE = Sound("tone", 2 * SECOND)
PATIENCE = 15 * SECOND
CLASSES = [SoundClass.PUBLICITY, SoundClass.PUBLICITY, SoundClass.DRILL, SoundClass.EMERGENCY]

seconds = st.integers(0, 40).map(lambda n: n * SECOND)
standings = st.builds(
    Standing,
    sound_class=st.sampled_from(CLASSES),
    authority=st.sampled_from([Authority.DISTRICT, Authority.CITY]),
    level=st.sampled_from([Level.RED, Level.BLUE]),
    urgency=st.just(Urgency.IMMEDIATE),
    certainty=st.just(Certainty.OBSERVED),
)
publicity = standings.map(
    lambda s: Standing(
        sound_class=SoundClass.PUBLICITY,
        authority=s.authority,
        level=s.level,
        urgency=s.urgency,
        certainty=s.certainty,
    )
)


@st.composite
def programmes(draw: st.DrawFn) -> Programme:
    clips, offset = [], 0
    for n in range(draw(st.integers(1, 4))):
        offset += draw(st.sampled_from([0, 0, 5 * SECOND]))
        ms = draw(st.integers(1, 12)) * SECOND
        item = draw(st.sampled_from(["a", "b", f"c{n}"]))
        clips.append(
            Clip(
                item_id=item,
                sha256=f"{item}{ms}",
                ms=ms,
                offset_ms=offset,
                resume=draw(st.sampled_from(list(ResumeRule))),
            )
        )
        offset += ms
    return Programme(
        clips=tuple(clips),
        late=draw(st.sampled_from(list(LateRule))),
        grace_ms=draw(st.sampled_from([0, 3 * SECOND, 60 * SECOND])),
    )


@dataclass
class Seen:
    """What this test has heard of one revision."""

    item: Item
    heard: dict[str, int] = field(default_factory=dict)  # ms by item of a programme
    ms: int = 0
    interrupted: tuple[Clip, int] | None = None  # in which clip, at which position
    rule: ResumeRule | None = None


class OneLoudspeaker(RuleBasedStateMachine):
    @initialize()
    def boot(self) -> None:
        self.player = Player(lambda name: TONE, PATIENCE)
        self.now = 0
        self.offset = 1_000_000_000
        self.names = 0
        self.seen: dict[tuple[str, int], Seen] = {}
        self.sounding: SoundBegan | None = None
        self.stack: list[str] = []  # who was interrupted, the latest last
        self.started: set[tuple[str, int]] = set()
        self.over: set[tuple[str, int]] = set()
        self.missing: set[str] = set()

    @property
    def at(self) -> Instant:
        return Instant(self.now, self.now + self.offset)

    # What happens

    @rule(s=standings, audio=st.integers(0, 9), life=seconds, delay=seconds, resume=st.sampled_from(list(ResumeRule)))
    def announcement(self, s: Standing, audio: int, life: int, delay: int, resume: ResumeRule) -> None:
        content = Announcement("attention", f"s{audio * SECOND}" if audio else None)
        self.arrive(self.new_name(), 1, s, content, delay // 4, life, resume=resume)

    @rule(s=publicity, content=programmes(), delay=seconds, life=seconds, ago=seconds, late=st.booleans())
    def programme(self, s: Standing, content: Programme, delay: int, life: int, ago: int, late: bool) -> None:
        self.arrive(self.new_name(), 1, s, content, -ago // 4 if late else delay // 4, life)

    @precondition(lambda self: self.live())
    @rule(data=st.data(), content=programmes(), same=st.booleans(), life=seconds)
    def update(self, data: st.DataObject, content: Programme, same: bool, life: int) -> None:
        old = data.draw(st.sampled_from(self.live()))
        new = content
        if same and isinstance(old.content, Programme):
            new = Programme(clips=old.content.clips, late=content.late, grace_ms=content.grace_ms)
        elif not isinstance(old.content, Programme):
            self.arrive(old.identifier, old.revision + 1, old.standing, old.content, 0, life)
            return
        delay = old.starts_at - self.at.utc
        self.arrive(old.identifier, old.revision + 1, old.standing, new, delay, max(life, -delay))

    @precondition(lambda self: self.live())
    @rule(data=st.data(), below=st.integers(0, 1))
    def stop(self, data: st.DataObject, below: int) -> None:
        item = data.draw(st.sampled_from(self.live()))
        self.note(self.player.stop(item.identifier, item.revision - below, self.at, "stop"))
        assert self.player.holds(item.identifier, item.revision) == (below == 1) or self.ended(item)
        self.advance()

    @rule(mode=st.sampled_from(list(Mode)), floor=st.sampled_from([0, 60]))
    def switch(self, mode: Mode, floor: int) -> None:
        self.advance()
        self.player.set_mode(mode, floor)
        self.advance()

    @rule(item=st.sampled_from(["a", "b", "c0"]), there=st.booleans())
    def lose_audio(self, item: str, there: bool) -> None:
        """From now on this item's audio cannot be had (or can again); what has come stays."""
        (self.missing.discard if there else self.missing.add)(item)

    @rule(by=st.sampled_from([-50, -3000, 7, 2000, 3_600_000, -3_600_000]))
    def clock_step(self, by: int) -> None:
        self.offset += by
        self.advance()

    @rule(dark=seconds)
    def restart(self, dark: int) -> None:
        self.advance()
        self.player.bank(self.at)
        if self.sounding is not None:
            self.note([SoundEnded(self.now, "power")])
        tracks, mode, floor = self.player.tracks, self.player.mode, self.player.volume_floor
        self.now += dark
        self.stack.clear()
        self.player = Player(lambda name: TONE, PATIENCE)
        self.player.set_mode(mode, floor)
        for track in tracks:
            begun = track.began is not None
            if begun and not isinstance(track, ProgrammeTrack):
                self.over.add((track.identifier, track.item.revision))
                continue
            earlier = track.checkpoint if isinstance(track, ProgrammeTrack) else None
            self.seen[track.identifier, track.item.revision].interrupted = None
            self.take(track.item, earlier)
        self.advance()

    @rule(ms=st.integers(1, 9000))
    def time_passes(self, ms: int) -> None:
        """The player is woken when it wants to be."""
        until = self.now + ms
        while (wake := self.player.next_wake(self.at)) is not None and wake <= until:
            assert wake > self.now, "it would spin"
            self.now = wake
            self.advance()
        self.now = until
        self.advance()

    @rule(ms=st.integers(1, 9000))
    def it_sleeps(self, ms: int) -> None:
        """Nobody wakes it in time."""
        self.now += ms
        self.advance()

    # What has to be true

    @invariant()
    def the_highest_that_is_due_has_the_turn(self) -> None:
        due = [t for t in self.player.due(self.at) if self.player.allowed(t)]
        turn = self.player.sounding
        assert (turn is None) == (not due)
        if turn is not None:
            assert all(weight(t.standing) <= weight(turn.standing) for t in due)
            assert turn in due

    @invariant()
    def what_is_heard_is_what_has_the_turn(self) -> None:
        turn = self.player.sounding
        heard = turn is not None and turn.voice is not None
        assert (self.sounding is not None) == heard
        if self.sounding is not None:
            assert turn is not None
            assert (self.sounding.identifier, self.sounding.revision) == (turn.identifier, turn.item.revision)
            floor = self.player.volume_floor if self.player.mode is Mode.EMERGENCY else 0
            own = 100 if turn.item.volume == 255 else turn.item.volume
            assert self.sounding.volume == max(own, floor)

    @invariant()
    def a_programme_never_outlives_its_expiry(self) -> None:
        for track in self.player.tracks:
            if isinstance(track, ProgrammeTrack):
                assert self.at.utc < track.item.expires

    @invariant()
    def without_anything_due_it_is_idle(self) -> None:
        if not self.player.tracks:
            assert self.sounding is None
            assert self.player.next_wake(self.at) is None

    def teardown(self) -> None:
        """Everything comes to an end, and then it is idle."""
        if not hasattr(self, "player"):
            return
        self.player.set_mode(Mode.PEACETIME, 0)
        self.advance()
        for _ in range(2000):
            wake = self.player.next_wake(self.at)
            if wake is None:
                break
            self.now = wake
            self.advance()
        assert not self.player.tracks
        assert self.sounding is None
        assert self.over == set(self.seen)

    # How it is watched

    def new_name(self) -> str:
        self.names += 1
        return f"I{self.names % 7}{self.names}"

    def live(self) -> list[Item]:
        return [track.item for track in self.player.tracks]

    def ended(self, item: Item) -> bool:
        return (item.identifier, item.revision) in self.over

    def arrive(
        self,
        name: str,
        revision: int,
        standing: Standing,
        content: Announcement | Programme,
        delay: int,
        life: int,
        resume: ResumeRule = ResumeRule.START,
    ) -> None:
        item = Item(
            identifier=name,
            revision=revision,
            standing=standing,
            issued_at=from_ms(self.at.utc - self.at.utc % 4000),
            starts_at=self.at.utc + delay,
            expires=self.at.utc + life + 1,
            content=content,
            resume=resume,
            volume=40 if len(name) % 2 else 255,
        )
        self.seen[name, revision] = Seen(item)
        self.take(item, None)
        self.advance()

    def take(self, item: Item, earlier: Checkpoint | None) -> None:
        self.note(self.player.add(item, self.at, earlier))
        for sha256 in item.wanted:
            digits = sha256.lstrip("abcs")
            if isinstance(item.content, Programme):
                clip = next(c for c in item.content.clips if c.sha256 == sha256)
                if clip.item_id not in self.missing:
                    self.player.supply(sha256, Sound(sha256, clip.ms))
                elif len(clip.item_id) == 1:
                    self.player.supply(sha256, Reason.CONTENT_MISMATCH)
            else:
                self.player.supply(sha256, Sound(sha256, int(digits)))

    def advance(self) -> None:
        self.note(self.player.advance(self.at))

    def note(self, changes: list[Change]) -> None:
        for change in changes:
            if isinstance(change, SoundBegan):
                self.began(change, changes)
            elif isinstance(change, SoundEnded):
                self.fell_silent(change)
            elif isinstance(change, Started):
                key = change.item.identifier, change.item.revision
                self.started.add(key)
            else:
                self.came_to_an_end(change)

    def began(self, began: SoundBegan, changes: list[Change]) -> None:
        assert self.sounding is None, "one loudspeaker"
        assert began.at <= self.now
        seen = self.seen[began.identifier, began.revision]
        item = seen.item
        assert (began.identifier, began.revision) in self.started
        assert (began.identifier, began.revision) not in self.over
        if isinstance(item.content, Programme):
            self.began_a_clip(began, seen, item.content)
        if seen.interrupted is not None or began.identifier in self.stack:
            self.came_back(began, seen)
        self.sounding = began

    def began_a_clip(self, began: SoundBegan, seen: Seen, programme: Programme) -> None:
        assert self.player.mode is Mode.PEACETIME
        clip = next(c for c in programme.clips if c.sha256 == began.sha256 and c.item_id == began.item_id)
        assert 0 <= began.position_ms < clip.ms

    def came_back(self, began: SoundBegan, seen: Seen) -> None:
        """By its own rule; and in the order in which the interruptions came."""
        if began.identifier in self.stack:
            above = self.stack[self.stack.index(began.identifier) + 1 :]
            for name in above:
                if (other := self.player.track(name)) is None or not self.player.allowed(other):
                    continue
                assert queue_key(seen.item) < queue_key(other.item), "a heavier one waits still"
            self.stack.remove(began.identifier)
        if seen.interrupted is None:
            return
        (clip, position), seen.interrupted = seen.interrupted, None
        same = began.sha256 == clip.sha256
        if clip.resume is ResumeRule.POSITION:
            assert (same, began.position_ms) == (True, position)
        elif clip.resume is ResumeRule.START:
            assert (same, began.position_ms) == (True, 0)
        elif clip.resume is ResumeRule.LIVE:
            content = seen.item.content
            assert isinstance(content, Programme)
            places = {
                self.at.utc_of(began.at) - began.position_ms - seen.item.starts_at - c.offset_ms
                for c in content.clips
                if c.sha256 == began.sha256
            }
            # Where the clock says; or within its grace time, when it waited in a gap for its place.
            assert any(0 <= late <= content.grace_ms for late in places)

    def fell_silent(self, ended: SoundEnded) -> None:
        began = self.sounding
        assert began is not None
        assert began.at <= ended.at <= self.now
        seen = self.seen[began.identifier, began.revision]
        ms = ended.at - began.at
        seen.ms += ms
        if began.item_id:
            seen.heard[began.item_id] = seen.heard.get(began.item_id, 0) + ms
        if ended.why == "interrupted":
            self.stack.append(began.identifier)
            if isinstance(seen.item.content, Programme):
                clip = next(
                    c for c in seen.item.content.clips if (c.sha256, c.item_id) == (began.sha256, began.item_id)
                )
                twins = [c for c in seen.item.content.clips if c.sha256 == clip.sha256]
                if len(twins) == 1:
                    seen.interrupted = clip, began.position_ms + ms
            turn = self.player.sounding
            blocked = self.player.mode is Mode.EMERGENCY and seen.item.standing.sound_class is SoundClass.PUBLICITY
            if turn is not None and not blocked:
                assert weight(turn.standing) > weight(seen.item.standing), "an equal one interrupted"
        self.sounding = None

    def came_to_an_end(self, end: Ended) -> None:
        key = end.item.identifier, end.item.revision
        assert key not in self.over, "it ended twice"
        self.over.add(key)
        seen = self.seen[key]
        if end.item.identifier in self.stack:
            self.stack.remove(end.item.identifier)
        assert end.played_ms == seen.ms
        if isinstance(end.item.content, Programme):
            assert {p.item_id: p.ms for p in end.plays if p.ms} == {k: v for k, v in seen.heard.items() if v}
            assert [p.item_id for p in end.plays] == list(dict.fromkeys(c.item_id for c in end.item.content.clips))
            if end.progress is not Progress.STOPPED and end.item.revision == 1:
                assert all(p.times or p.reason for p in end.plays), "played to its end, or why not"
            if end.progress is Progress.FINISHED:
                assert seen.ms > 0
        assert (end.progress is Progress.FAILED) == (end.reason is not None)


OneLoudspeaker.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestOneLoudspeaker = OneLoudspeaker.TestCase
