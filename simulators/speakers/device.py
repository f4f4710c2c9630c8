"""One speaker: what it does with every message, tick and download, as docs/protocols/ip-speaker.md says. No I/O.

`now` is always the device's own monotonic clock in milliseconds. Each method returns what is to be done outside.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Final

from broadcast_core.model import Reason
from broadcast_core.signing import b64url
from drivers.ip_speaker.wire import Topics, Up
from drivers.ip_speaker.wire.command import (
    Audio,
    BeaconCommand,
    OrdersCommand,
    QueryCommand,
    SelfTestCommand,
    StartCommand,
    StopCommand,
    Target,
)
from drivers.ip_speaker.wire.report import AliveReport, GoneReport, HelloReport, ReceiptReport
from simulators.speakers.downloads import Downloads, Fetched
from simulators.speakers.effects import Effect, Fetch, Say, Subscribe
from simulators.speakers.greeting import Greeting
from simulators.speakers.guard import Admitted, NotUnderstood, Opener, Refused
from simulators.speakers.ledger import Ledger
from simulators.speakers.membership import Aim, acceptable, aim, move
from simulators.speakers.memory import Clip, Memory
from simulators.speakers.player import Change, Ended, Item, Player, Started
from simulators.speakers.selftest import SelfTests
from simulators.speakers.signed_time import DeviceClock

FIRMWARE: Final = "tocsin-simulator/1"
BUILT_IN_TONE: Final = Clip("", 2000)
_CHECKPOINT_MS: Final = 5_000  # a power cut loses at most this much of "played so far"
_CLOCK_AHEAD_MS: Final = 2_000
_CLOCK_ASK_EVERY_MS: Final = 60_000
_CLOCK_ASK_SPREAD_MS: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """What the maker of a speaker may choose."""

    patience_ms: int = 15_000  # how long the tone repeats while the audio has not come
    volume: int = 100  # its own setting, 0-100


class Device:
    """The state machine. `memory` is its flash; everything else is gone when it reboots."""

    def __init__(
        self,
        me: str,
        topics: Topics,
        opener: Opener,
        memory: Memory,
        clock: DeviceClock,
        random: Random,
        habits: Habits,
    ) -> None:
        self.me: Final = me
        self.memory: Final = memory
        self.clock: Final = clock
        self.player: Final = Player(self._tone, habits.patience_ms, habits.volume)
        self.refused: Final[Counter[str]] = Counter()
        self._topics = topics
        self._open = opener
        self._random = random
        self._ledger = Ledger(memory, clock)
        self._greeting = Greeting(random)
        self.tests: Final = SelfTests(self._ledger, clock, random)
        self._downloads = Downloads(random)
        self._tones_wanted: dict[str, str] = {}  # name -> hash
        self._subscribing = False
        self._alive_at: int | None = None
        self._alive_n = 0
        self._checkpoint_at = 0
        self._clock_asked_at = -_CLOCK_ASK_EVERY_MS
        self._ledger.mark_interrupted()

    @property
    def settled(self) -> bool:
        """Its hello was answered, and nothing that it asked or subscribed since is open."""
        return self._greeting.greeted and self._greeting.nonce is None and not self._subscribing

    def connecting(self) -> GoneReport:
        """A new session begins; the last will for it."""
        self.memory.session += 1
        return GoneReport(session=self.memory.session)

    def connected(self) -> list[Effect]:
        """CONNACK has come."""
        self._subscribing = True
        own = self._topics.own(self.me)
        return [Subscribe((own, self._topics.beacon, *(zone.topic for zone in self.memory.zones.values())))]

    def subscribed(self, now: int) -> list[Effect]:
        """A SUBACK has come: from here on nothing is missed, so now is the time to ask what was."""
        self._subscribing = False
        if self._alive_at is None:
            self._alive_n = 0
            self._pace(self.memory.heartbeat_s, now)
        return [self._hello(self._greeting.fresh(now), now)]

    def lost(self) -> None:
        """The connection is gone. What sounds goes on, and what was accepted will start."""
        self._greeting.reset()
        self._alive_at = None

    def heard(self, token: bytes, retained: bool, now: int) -> list[Effect]:
        """A message came down."""
        verdict = Refused("retained") if retained else self._open(token)
        if isinstance(verdict, Refused):
            self.refused[verdict.why] += 1
            return []
        if isinstance(verdict, NotUnderstood):
            return self._not_understood(verdict, now)
        command = verdict.command
        if isinstance(command, BeaconCommand):
            return self._beacon(command, now)
        ahead_ms = self.clock.now(now) - command.iat
        self.clock.not_before(command.iat, now)
        if isinstance(command, SelfTestCommand):
            return self._self_test(command, ahead_ms, now)
        if isinstance(command, StartCommand):
            return self._start(verdict, command, now)
        if isinstance(command, StopCommand):
            return self._stop(command, now)
        if isinstance(command, OrdersCommand):
            return self._orders(command, now)
        return self._query(command, now)

    def fetched(self, sha256: str, body: Fetched | None, now: int) -> list[Effect]:
        """The body that was asked for came, or (None) did not."""
        names = [name for name, wanted in self._tones_wanted.items() if wanted == sha256]
        tested = self.tests.fetched(sha256, body, now)
        result = self._downloads.came(sha256, body, bool(names) or self.player.lacks(sha256))
        if result is None:
            return tested
        if isinstance(result, Fetch):
            return [*tested, result]
        for name in names:
            del self._tones_wanted[name]
            if isinstance(result, Clip):
                self.memory.tones[name] = result
        effects = self._advance(now)  # up to now the audio was not there
        self.player.supply(sha256, result)
        return tested + effects + self._advance(now)

    def woken(self, now: int) -> list[Effect]:
        """`next_wake` has come."""
        effects: list[Effect] = []
        nonce = self._greeting.due(now)
        if nonce is not None:
            effects.append(self._hello(nonce, now))
        if self._alive_at is not None and self._alive_at <= now:
            effects.append(self._alive(now))
        effects += self._advance(now)
        if self.player.sounding is not None and self._checkpoint_at <= now:
            self._checkpoint_at = now + _CHECKPOINT_MS
            self._ledger.checkpoint(self.player.sounding, self.player.played_ms(now))
        return effects

    def next_wake(self, now: int) -> int | None:
        """When `woken` has to be called, if nothing else happens before."""
        wake = self._alive_at
        for other in (
            self._greeting.next_wake(),
            self.player.next_wake(self.clock, now),
            None if self.player.sounding is None else self._checkpoint_at,
        ):
            if other is not None and (wake is None or other < wake):
                wake = other
        return wake

    def _start(self, admitted: Admitted, start: StartCommand, now: int) -> list[Effect]:
        meant = self._aim(start.target)
        if meant is Aim.OTHERS:
            return []
        settled = self._settled(start)
        if settled is not None:
            return [Say(Up.RECEIPT, settled)]
        if start.order <= self.memory.floor:
            self.refused["old"] += 1
            return []
        if meant is Aim.ASK or not self._greeting.greeted:
            # Not ours to judge: the next orders have to be new enough to tell of it.
            self._greeting.miss(start.order, now)
            return []
        return self._accept(admitted, start, now)

    def _accept(self, admitted: Admitted, start: StartCommand, now: int) -> list[Effect]:
        """Take a start that is meant for this speaker and not known; answers whatever becomes of it."""
        overtaken = self._ledger.overtaken(start)
        if overtaken is not None:
            return [self._ledger.wrote(start, "stopped", now, detail=overtaken, played_ms=0)]
        if start.exp < self.clock.now(now):
            return [self._ledger.wrote(start, "failed", now, reason=Reason.EXPIRED, played_ms=0)]
        effects = self._changed(self.player.stop(start.alert, start.rev - 1, now, "superseded"))
        effects.append(self._ledger.accepted(start, now))
        assert admitted.standing is not None
        assert admitted.issued_at is not None
        item = Item(start, admitted.standing, admitted.issued_at)
        self.player.add(item)
        if start.content.audio is not None:
            item.audio = self._downloads.held(start.content.audio.sha256)
            if item.audio is None:
                effects += self._downloads.want(start.content.audio)
        return effects + self._advance(now)

    def _stop(self, stop: StopCommand, now: int) -> list[Effect]:
        """Final, so never too old: what it names cannot come back, and nothing newer is touched."""
        if self._aim(stop.target) is Aim.OTHERS:
            return []
        known = self._ledger.of_stop(stop.alert, stop.rev)
        if known is not None:
            return [Say(Up.RECEIPT, known)]
        effects: list[Effect] = [self._ledger.stopped(stop, now)]
        effects += self._changed(self.player.stop(stop.alert, stop.rev, now, stop.cause))
        effects.append(self._ledger.obeyed(stop, "finished", now))
        return effects + self._advance(now)

    def _self_test(self, test: SelfTestCommand, ahead_ms: int, now: int) -> list[Effect]:
        if self._aim(test.target) is not Aim.ME or not self._greeting.greeted:
            return []  # who is owed an answer says it again
        if test.order <= self.memory.floor and not self.tests.knows(test):
            self.refused["old"] += 1
            return []
        return self.tests.take(test, ahead_ms, now)

    def _query(self, query: QueryCommand, now: int) -> list[Effect]:
        if query.exp < self.clock.now(now) or self._aim(query.target) is Aim.OTHERS:
            return []
        return [*self._ledger.last(query.alert, query.rev)]

    def _beacon(self, beacon: BeaconCommand, now: int) -> list[Effect]:
        ahead = self.clock.now(now) - beacon.iat
        self.clock.not_before(beacon.iat, now)
        if ahead > _CLOCK_AHEAD_MS and self._greeting.greeted and now - self._clock_asked_at >= _CLOCK_ASK_EVERY_MS:
            # Fast, or the core's clock was put back. Only an answer to a fresh nonce may say so; an old beacon,
            # played again, costs one hello.
            self._clock_asked_at = now
            self._greeting.ask(now, self._random.randrange(_CLOCK_ASK_SPREAD_MS))
        return self._advance(now)

    def _orders(self, orders: OrdersCommand, now: int) -> list[Effect]:
        if orders.target.zone is not None or orders.target.endpoints != (self.me,):
            return []
        if orders.nonce is None:
            if not self._greeting.greeted or orders.order <= self.memory.floor or orders.exp < self.clock.now(now):
                self.refused["old"] += 1
                return []
        elif self._greeting.nonce is None or orders.nonce != b64url(self._greeting.nonce).decode():
            self.refused["nonce"] += 1
            return []
        elif not self.clock.set_by_exchange(orders.iat, self._greeting.sent_at, now):
            return [self._hello(self._greeting.fresh(now), now)]
        else:
            self._greeting.answered(orders.order, now)
        self.memory.floor = orders.order
        return self._obey(orders, now)

    def _obey(self, orders: OrdersCommand, now: int) -> list[Effect]:
        """The whole truth: what is not in it is over, what is new in it starts."""
        self._pace(orders.heartbeat_s, now)
        zones = acceptable(orders.zones, self._topics.root)
        effects = move(self.memory.zones, zones)
        self._subscribing |= any(isinstance(effect, Subscribe) for effect in effects)
        self.memory.zones = zones
        live = self._nested(orders)
        named = {(start.alert, start.rev) for _, start in live}
        for start in [item.start for item in self.player.items]:
            if start.order <= orders.order and (start.alert, start.rev) not in named:
                effects += self._changed(self.player.stop(start.alert, start.rev, now, "not in orders"))
        effects += self._fetch_tones(orders.tones)
        for admitted, start in live:
            if self._settled(start) is None:
                effects += self._accept(admitted, start, now)
        return effects + self._advance(now)

    def _nested(self, orders: OrdersCommand) -> list[tuple[Admitted, StartCommand]]:
        """The starts in orders, each proven by its own signature. That they are meant for us, the orders say."""
        starts = []
        for token in orders.live:
            verdict = self._open(token.encode())
            if isinstance(verdict, Admitted) and isinstance(verdict.command, StartCommand):
                start = verdict.command
                if start.sound_class != "test" or start.target.endpoints == (self.me,):
                    starts.append((verdict, start))
                    continue
            self.refused["nested"] += 1
        return starts

    def _not_understood(self, gist: NotUnderstood, now: int) -> list[Effect]:
        """A start this firmware is too old for: say so, rather than leave the operator to guess."""
        self.refused["unsupported"] += 1
        if self._aim(gist.target) is not Aim.ME or not self._greeting.greeted or gist.exp < self.clock.now(now):
            return []
        report = ReceiptReport(
            alert=gist.alert,
            rev=gist.rev,
            progress="failed",
            at=self.clock.now(now),
            reason=Reason.UNSUPPORTED,
            played_ms=0,
        )
        return [Say(Up.RECEIPT, report)]

    def _aim(self, target: Target) -> Aim:
        return aim(self.me, target, self.memory.zones)

    def _settled(self, start: StartCommand) -> ReceiptReport | None:
        """The last evidence of a revision that must not start again. One that was received and then, before it
        sounded, forgotten in a reboot may."""
        evidence = self._ledger.of_start(start.alert, start.rev)
        if evidence is None or (evidence.progress == "received" and not self.player.holds(start.alert, start.rev)):
            return None
        return evidence

    def _tone(self, name: str) -> Clip:
        return self.memory.tones.get(name, BUILT_IN_TONE)

    def _fetch_tones(self, tones: dict[str, Audio]) -> list[Effect]:
        effects: list[Effect] = []
        for name, audio in tones.items():
            held = self.memory.tones.get(name)
            if held is None or held.sha256 != audio.sha256:
                self._tones_wanted[name] = audio.sha256
                effects += self._downloads.want(audio)
        return effects

    def _hello(self, nonce: bytes, now: int) -> Say:
        utc = self.clock.now(now)
        if self.clock.trusted:
            self.memory.forget(utc)
        report = HelloReport(
            session=self.memory.session,
            nonce=b64url(nonce).decode(),
            at=utc,
            firmware=FIRMWARE,
            zones={code: zone.version for code, zone in self.memory.zones.items()},
            evidence=self.memory.newest_evidence(),
        )
        return Say(Up.HELLO, report)

    def _pace(self, heartbeat_s: float, now: int) -> None:
        """Beat at this pace from now on; the first beat anywhere within one, so that a fleet spreads."""
        if self._alive_at is None or heartbeat_s != self.memory.heartbeat_s:
            self._alive_at = now + self._random.randrange(round(heartbeat_s * 1000) + 1)
        self.memory.heartbeat_s = heartbeat_s

    def _alive(self, now: int) -> Say:
        self._alive_n += 1
        self._alive_at = now + round(self.memory.heartbeat_s * 1000 * self._random.uniform(0.9, 1.1))
        sounding = self.player.sounding
        report = AliveReport(
            session=self.memory.session,
            n=self._alive_n,
            at=self.clock.now(now),
            sounding=None if sounding is None else sounding.identifier,
        )
        return Say(Up.ALIVE, report)

    def _advance(self, now: int) -> list[Effect]:
        return self._changed(self.player.advance(now, self.clock.now(now)))

    def _changed(self, changes: list[Change]) -> list[Effect]:
        """Evidence for what the player did, in its order; the sound itself is passed on."""
        effects: list[Effect] = []
        for change in changes:
            if isinstance(change, Started):
                self._checkpoint_at = change.at + _CHECKPOINT_MS
                effects.append(self._ledger.wrote(change.item.start, "started", change.at))
            elif isinstance(change, Ended):
                effects.append(self._ledger.ended(change))
            else:
                effects.append(change)
        return effects
