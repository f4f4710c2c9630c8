"""One speaker: what it does with every message, tick and download, as docs/protocols/ip-speaker.md says. No I/O.

`now` is always the device's own monotonic clock in milliseconds. Each method returns what is to be done outside.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from broadcast_core.model import Reason
from broadcast_core.player import Player, Programme, Sound
from drivers.ip_speaker.wire import Topics, Up
from drivers.ip_speaker.wire.command import (
    BeaconCommand,
    ModeCommand,
    OrdersCommand,
    QueryCommand,
    SelfTestCommand,
    StartCommand,
    StopCommand,
    Target,
)
from drivers.ip_speaker.wire.report import AliveReport, GoneReport, HelloReport, ReceiptReport
from simulators.speakers.day import Day
from simulators.speakers.downloads import Downloads, Fetched
from simulators.speakers.effects import Effect, Fetch, Say, Subscribe
from simulators.speakers.greeting import Greeting
from simulators.speakers.guard import Admitted, NotUnderstood, Opener, Refused, nested_start, sets_clock
from simulators.speakers.heartbeat import Heartbeat
from simulators.speakers.items import item_of, needed
from simulators.speakers.ledger import Ledger, unsupported
from simulators.speakers.loudspeaker import Loudspeaker
from simulators.speakers.membership import Aim, acceptable, aim, move
from simulators.speakers.memory import Memory
from simulators.speakers.selftest import SelfTests
from simulators.speakers.signed_time import DeviceClock
from simulators.speakers.tones import Tones

FIRMWARE: Final = "tocsin-simulator/1"
_MOST_POSITIONS: Final = 200
_CLOCK_AHEAD_MS: Final = 2_000
_CLOCK_ASK_EVERY_MS: Final = 60_000
_CLOCK_ASK_SPREAD_MS: Final = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Habits:
    """What the maker of a speaker may choose."""

    patience_ms: int = 15_000  # how long the tone repeats while the audio has not come
    volume: int = 100  # its own setting, 0-100
    report_spread_ms: int = 60_000  # the final receipt of publicity goes out at random within this


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
        self._tones = Tones(memory)
        self.player: Final = Player(self._tones.sound, habits.patience_ms, habits.volume)
        self.refused: Final[Counter[str]] = Counter()
        self._topics = topics
        self._open = opener
        self._random = random
        self._ledger = Ledger(memory, clock)
        self._day = Day(memory, clock, random, habits.report_spread_ms)
        self._speaker = Loudspeaker(self.player, self._ledger, self._day, memory, clock)
        self._greeting = Greeting(random)
        self.tests: Final = SelfTests(self._ledger, clock, random)
        self._downloads = Downloads(random, memory.store)
        self._position: dict[str, tuple[int, int]] = {}  # of what the player holds, in the order of all commands
        self._subscribing = False
        self._heartbeat = Heartbeat(random)
        self._clock_asked_at = -_CLOCK_ASK_EVERY_MS
        self._ledger.mark_interrupted()

    @property
    def settled(self) -> bool:
        """Its hello was answered, and nothing that it asked or subscribed since is open."""
        return self._greeting.greeted and not self._greeting.open and not self._subscribing

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
        self._heartbeat.begin(self.memory.heartbeat_s, now)
        return [self._hello(self._greeting.fresh(now), now)]

    def lost(self) -> None:
        """The connection is gone. What sounds goes on, and what was accepted will start."""
        self._greeting.reset()
        self._heartbeat.stop()

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
        if sets_clock(command):
            self.clock.not_before(command.iat, now)
        if isinstance(command, SelfTestCommand):
            return self._self_test(command, ahead_ms, now)
        if isinstance(command, StartCommand):
            return self._start(verdict, command, now)
        if isinstance(command, StopCommand):
            return self._stop(command, now)
        if isinstance(command, OrdersCommand):
            return self._orders(command, now)
        if isinstance(command, ModeCommand):
            return self._mode(command, now)
        return self._query(command, now)

    def fetched(self, sha256: str, body: Fetched | None, now: int) -> list[Effect]:
        """The body that was asked for came, or (None) did not."""
        tested = self.tests.fetched(sha256, body, now)
        result = self._downloads.came(sha256, body, self._tones.wants(sha256) or self.player.lacks(sha256))
        if result is None:
            return tested
        if isinstance(result, Fetch):
            return [*tested, result]
        self._tones.came(sha256, result if isinstance(result, Sound) else None)
        return tested + self._speaker.supply(sha256, result, now)

    def woken(self, now: int) -> list[Effect]:
        """`next_wake` has come."""
        effects: list[Effect] = [*self._day.reports(now)]
        if self._day.wants_time(now) and self._greeting.greeted:
            self._greeting.ask(now)
        nonce = self._greeting.due(now)
        if nonce is not None:
            effects.append(self._hello(nonce, now))
        beat = self._heartbeat.beat(self.memory.heartbeat_s, now)
        if beat is not None:
            effects.append(self._alive(beat, now))
        return effects + self._speaker.woken(now)

    def next_wake(self, now: int) -> int | None:
        """When `woken` has to be called, if nothing else happens before."""
        wakes = (
            self._heartbeat.at,
            self._greeting.next_wake(),
            self._day.next_wake(),
            self._speaker.next_wake(now),
        )
        return min((wake for wake in wakes if wake is not None), default=None)

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
        effects = self._take(admitted, start, now)
        effects.append(self._ledger.accepted(start, now))
        return effects + self._fetch_for(start, now) + self._speaker.advance(now)

    def _take(self, admitted: Admitted, start: StartCommand, now: int) -> list[Effect]:
        """Give it to the player."""
        assert admitted.standing is not None
        assert admitted.issued_at is not None
        item = item_of(start, admitted.standing, admitted.issued_at)
        programme = isinstance(item.content, Programme)
        earlier = self._day.keep(admitted.token, start, now) if programme else None
        effects = self._speaker.add(item, now, earlier)
        self._position[start.alert] = start.order
        if len(self._position) > _MOST_POSITIONS:
            held = {track.identifier for track in self.player.tracks}
            self._position = {alert: order for alert, order in self._position.items() if alert in held}
        return effects

    def _fetch_for(self, start: StartCommand, now: int) -> list[Effect]:
        effects: list[Effect] = []
        for audio, place in needed(start):
            sound = self._downloads.held(audio.sha256)
            if sound is not None:
                self.player.supply(audio.sha256, sound)
            elif place is None:
                effects += self._downloads.want(audio)
            else:
                effects += self._downloads.want_ahead(audio, self._day.prefetch_delay(place, now))
        return effects

    def _stop(self, stop: StopCommand, now: int) -> list[Effect]:
        """Final, so never too old: what it names cannot come back, and nothing newer is touched."""
        if self._aim(stop.target) is Aim.OTHERS:
            return []
        known = self._ledger.of_stop(stop.alert, stop.rev)
        if known is not None:
            return [Say(Up.RECEIPT, known)]
        effects: list[Effect] = [self._ledger.stopped(stop, now)]
        effects += self._speaker.stop(stop.alert, stop.rev, now, stop.cause)
        effects.append(self._ledger.obeyed(stop, "finished", now))
        return effects + self._speaker.advance(now)

    def _mode(self, change: ModeCommand, now: int) -> list[Effect]:
        meant = self._aim(change.target)
        if meant is Aim.OTHERS:
            return []
        known = self._ledger.of_start(change.alert, change.rev)
        if known is not None:
            return [Say(Up.RECEIPT, known)]
        if change.order <= self.memory.floor:
            self.refused["old"] += 1
            return []
        if meant is Aim.ASK or not self._greeting.greeted:
            self._greeting.miss(change.order, now)
            return []
        if change.exp < self.clock.now(now):
            return [self._ledger.wrote(change, "failed", now, reason=Reason.EXPIRED)]
        if change.order < self.memory.mode_order:
            return [self._ledger.wrote(change, "stopped", now, detail="superseded")]
        effects: list[Effect] = [self._ledger.accepted(change, now)]
        effects += self._speaker.set_mode(change.mode, change.volume_floor, change.order, now)
        effects.append(self._ledger.wrote(change, "finished", now))
        return effects

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
        return self._speaker.advance(now)

    def _orders(self, orders: OrdersCommand, now: int) -> list[Effect]:
        if orders.target.zone is not None or orders.target.endpoints != (self.me,):
            return []
        if orders.nonce is None:
            if not self._greeting.greeted or orders.order <= self.memory.floor or orders.exp < self.clock.now(now):
                self.refused["old"] += 1
                return []
        elif (sent_at := self._greeting.sent_at(orders.nonce)) is None:
            self.refused["nonce"] += 1
            return []
        elif not self.clock.set_by_exchange(orders.iat, sent_at, now):
            return [self._hello(self._greeting.fresh(now), now)]
        else:
            self._greeting.answered(orders.order, now)
        self.memory.floor = orders.order
        return self._obey(orders, now)

    def _obey(self, orders: OrdersCommand, now: int) -> list[Effect]:
        """The whole truth: what is not in it is over, what is new in it starts."""
        if orders.heartbeat_s != self.memory.heartbeat_s:
            self.memory.heartbeat_s = orders.heartbeat_s
            self._heartbeat.pace(orders.heartbeat_s, now)
        zones = acceptable(orders.zones, self._topics.root)
        effects = move(self.memory.zones, zones)
        self._subscribing |= any(isinstance(effect, Subscribe) for effect in effects)
        self.memory.zones = zones
        live = self._nested(token.encode() for token in orders.live)
        named = {*orders.due.items(), *((start.alert, start.rev) for _, start in live)}
        alerts = {alert for alert, _ in named}
        effects += self._stop_all(orders, lambda alert, rev: alert not in alerts, now)
        if orders.order > self.memory.mode_order:
            effects += self._speaker.set_mode(orders.mode, orders.volume_floor, orders.order, now)
        effects += self._take_up(orders, now)
        for audio in self._tones.missing(orders.tones):
            effects += self._downloads.want(audio)
        for admitted, start in live:
            if self._settled(start) is None:
                effects += self._accept(admitted, start, now)
        # Only now: a programme that has a new revision goes on in it without a gap.
        effects += self._stop_all(orders, lambda alert, rev: (alert, rev) not in named, now)
        return effects + self._speaker.advance(now)

    def _stop_all(self, orders: OrdersCommand, gone: Callable[[str, int], bool], now: int) -> list[Effect]:
        """End what these orders are new enough to know of, and do not tell of."""
        effects: list[Effect] = []
        for track in self.player.tracks:
            alert, rev = track.identifier, track.item.revision
            if self._position[alert] <= orders.order and gone(alert, rev):
                effects += self._speaker.stop(alert, rev, now, "not in orders")
        return effects

    def _take_up(self, orders: OrdersCommand, now: int) -> list[Effect]:
        """What the flash holds of the day and is still due, after a reboot: as good as on the day it came."""
        effects: list[Effect] = []
        newer = {alert for alert, order in self._position.items() if order > orders.order}
        for admitted, start in self._nested(self._day.due(orders.due, newer)):
            over = start.exp < self.clock.now(now) or self._ledger.overtaken(start) is not None
            if not over and not self.player.holds(start.alert, start.rev):
                effects += self._take(admitted, start, now) + self._fetch_for(start, now)
        return effects

    def _nested(self, tokens: Iterable[bytes]) -> list[tuple[Admitted, StartCommand]]:
        """The starts in orders or flash, each proven by its own signature; that they are ours, the orders say."""
        opened = [nested_start(self._open, token, self.me) for token in tokens]
        self.refused["nested"] += opened.count(None)
        return [start for start in opened if start is not None]

    def _not_understood(self, gist: NotUnderstood, now: int) -> list[Effect]:
        """A start this firmware is too old for: say so, rather than leave the operator to guess."""
        self.refused["unsupported"] += 1
        if self._aim(gist.target) is not Aim.ME or not self._greeting.greeted or gist.exp < self.clock.now(now):
            return []
        return [Say(Up.RECEIPT, unsupported(gist.alert, gist.rev, self.clock.now(now)))]

    def _aim(self, target: Target) -> Aim:
        return aim(self.me, target, self.memory.zones)

    def _settled(self, start: StartCommand) -> ReceiptReport | None:
        """The last evidence of a revision that must not start again. One that was received and then, before it
        sounded, forgotten in a reboot may."""
        evidence = self._ledger.of_start(start.alert, start.rev)
        if evidence is None or (evidence.progress == "received" and not self.player.holds(start.alert, start.rev)):
            return None
        return evidence

    def _hello(self, nonce: str, now: int) -> Say:
        utc = self.clock.now(now)
        if self.clock.trusted:
            self.memory.forget(utc)
            self._day.forget(utc)
        report = HelloReport(
            session=self.memory.session,
            nonce=nonce,
            at=utc,
            firmware=FIRMWARE,
            zones={code: zone.version for code, zone in self.memory.zones.items()},
            evidence=self.memory.newest_evidence(),
            holds=self._day.holds(),
        )
        return Say(Up.HELLO, report)

    def _alive(self, beat: int, now: int) -> Say:
        sounding = self.player.sounding
        report = AliveReport(
            session=self.memory.session,
            n=beat,
            at=self.clock.now(now),
            sounding=None if sounding is None else sounding.identifier,
        )
        return Say(Up.ALIVE, report)
