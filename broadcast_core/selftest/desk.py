"""The acts on tests, and what is known of them. What is accepted here is durable; the runner sends it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import Clock
from broadcast_core.config import SelfTests
from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.live import Live, LiveAlert
from broadcast_core.mode import Modes
from broadcast_core.model import Channel, Endpoint, MessageKind, Mode, Zone
from broadcast_core.registry import Registry
from broadcast_core.selftest import rows
from broadcast_core.selftest.book import Book
from broadcast_core.selftest.freshness import Freshness, freshness
from broadcast_core.selftest.rows import Kind, Row
from broadcast_core.store import Store
from scheduler.calendar import Calendar
from scheduler.kindness import Kindness, quiet_spans, rules_of, volume_between

_RUN_WITHIN: Final = timedelta(hours=2)  # a test by hand that an alert holds up longer is not wanted any more
_AUDIBLE_WITHIN: Final = timedelta(minutes=10)
_TESTED: Final = (Channel.SPEAKER, Channel.HORN)


class Circumstances(Protocol):
    """Of the schedule: where and when it has to be quiet."""

    @property
    def kindness(self) -> Kindness: ...
    @property
    def calendar(self) -> Calendar: ...
    @property
    def tz(self) -> ZoneInfo: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """Tests that are durable and will have their turn. `occasion` names them together."""

    occasion: str
    endpoints: tuple[str, ...]
    ends_at: datetime  # when the last turn comes, if no alert comes between


@dataclass(frozen=True, kw_only=True, slots=True)
class ZoneFreshness:
    zone: Zone
    channels: dict[Channel, Freshness]


class SelfTestDesk:
    """Opens tests and answers for them. `opened` is told of every act."""

    def __init__(
        self,
        book: Book,
        *,
        settings: SelfTests,
        store: Store,
        live: Live,
        registry: Callable[[], Registry],
        modes: Callable[[], Modes],
        circumstances: Callable[[], Circumstances],
        clock: Clock,
    ) -> None:
        self.book = book
        self.settings = settings
        self.store = store
        self._live = live
        self._registry = registry
        self._modes = modes
        self._circumstances = circumstances
        self._clock = clock
        self.opened: Callable[[], None] = lambda: None

    async def run(self, names: Sequence[str], zone: str | None, *, actor: str) -> Opened:
        """Silent tests now: of these endpoints, of a zone, or with neither of all. Raises NotFound, Rejected."""
        endpoints = self._named(names) if names else self._of_zone(zone or self._registry().root.code)
        phones = [e.id for e in endpoints if e.channel not in _TESTED]
        if names and phones:
            sentence = _("{endpoint} is a phone: nothing is sent to phones in a self-test.", endpoint=phones[0])
            raise Rejected(RejectReason.UNKNOWN_CHANNEL, sentence, "endpoints")
        now = self._clock.now()
        occasion = f"run:{secrets.token_hex(4)}"
        chosen = [
            self._row(occasion, e, Kind.SILENT, now, now + _RUN_WITHIN, actor)
            for e in endpoints
            if e.channel in _TESTED and (names or e.enabled)
        ]
        return await self._open(occasion, chosen, actor)

    async def audible(
        self,
        names: Sequence[str],
        zone: str | None,
        *,
        volume: int,
        actor: str,
        occasion: str | None = None,
    ) -> Opened:
        """Audible tests of some loudspeakers or a small zone, one after the other, within the kind hours.

        Raises NotFound; Rejected for horns, for the district, for more than `most_audible`, in quiet hours, in
        emergency mode, and while an alert is live.
        """
        endpoints = self._loudspeakers(names, zone)
        now = self._clock.now()
        gap = timedelta(seconds=self.settings.audible_gap_s)
        if (alert := self.held_by()) is not None:
            sentence = _("Alert {alert} is live: no test before it is over.", alert=alert.alert_id)
            raise Rejected(RejectReason.LOCKED, sentence)
        occasion = occasion or f"audible:{secrets.token_hex(4)}"
        chosen = []
        for number, endpoint in enumerate(endpoints):
            at = now + number * gap
            self.refuse_unkind(endpoint, at)
            chosen.append(self._row(occasion, endpoint, Kind.AUDIBLE, at, at + _AUDIBLE_WITHIN, actor, volume))
        return await self._open(occasion, chosen, actor)

    def refuse_unkind(self, endpoint: Endpoint, at: datetime) -> None:
        """Raises Rejected if no test may sound there at that instant."""
        if self._modes().of(endpoint.zone, self._registry()) is Mode.EMERGENCY:
            sentence = _("Zone {zone} is in emergency mode: no test sounds there.", zone=endpoint.zone)
            raise Rejected(RejectReason.LOCKED, sentence, "zone")
        around = self._circumstances()
        rules = rules_of(around.kindness, self._registry().zones, endpoint.zone)
        if quiet_spans(rules, at, at + timedelta(seconds=30), around.calendar, around.tz):
            sentence = _("It would sound in the quiet hours of zone {zone}.", zone=endpoint.zone)
            raise Rejected(RejectReason.QUIET_HOURS, sentence, "zone")

    def volume_at(self, endpoint: Endpoint, wanted: int, at: datetime) -> int:
        """The volume under the zone's ceilings."""
        around = self._circumstances()
        rules = rules_of(around.kindness, self._registry().zones, endpoint.zone)
        return volume_between(rules, wanted, at, at + timedelta(seconds=30), around.calendar, around.tz)

    def held_by(self) -> LiveAlert | None:
        """The alert that every test waits for, if there is one."""
        now = self._clock.now()
        for live in self._live:
            over = live.complete or live.ended or now > live.expires + live.longest()
            if live.kind is MessageKind.ALERT and not over:
                return live
        return None

    def freshness(self) -> dict[Channel, Freshness]:
        """The whole district's numbers, by channel."""
        return self._fresh(lambda channel: self._registry().ordered(channel))

    def freshness_of(self, zone: str | None = None) -> list[ZoneFreshness]:
        """The numbers of a zone (the district if none is named) and of each zone right below it."""
        registry = self._registry()
        top = registry.root if zone is None else registry.zone(zone)
        return [
            ZoneFreshness(zone=each, channels=self._fresh(partial(registry.members, each.code)))
            for each in (top, *registry.children(top.code))
        ]

    def _fresh(self, members: Callable[[Channel], Sequence[Endpoint]]) -> dict[Channel, Freshness]:
        now = self._clock.now()
        return {channel: freshness(members(channel), self.book.proven, now) for channel in _TESTED}

    async def _open(self, occasion: str, chosen: Sequence[Row], actor: str) -> Opened:
        if not chosen:
            raise Rejected(RejectReason.EMPTY_AREA, _("There is no endpoint to test."), "zone")
        now = self._clock.now()

        async def job(connection: AsyncConnection) -> None:
            await rows.insert(connection, chosen)
            detail = {"kind": chosen[0].kind.value, "endpoints": len(chosen)}
            await audit.record(connection, now=now, actor=actor, action="test.ask", object_=occasion, detail=detail)

        await self.store.write(job)
        self.book.add(chosen)
        self.opened()
        return Opened(
            occasion=occasion,
            endpoints=tuple(row.endpoint_id for row in chosen),
            ends_at=max(row.due_at for row in chosen),
        )

    def _loudspeakers(self, names: Sequence[str], zone: str | None) -> list[Endpoint]:
        if bool(names) == (zone is not None):
            raise Rejected(RejectReason.MISSING, _("Name either endpoints or one zone."), "zone")
        if zone is not None and zone == self._registry().root.code:
            sentence = _("The whole district is never tested aloud at once: name a smaller zone.")
            raise Rejected(RejectReason.INVALID_VALUE, sentence, "zone")
        endpoints = self._named(names) if names else self._of_zone(zone or "")
        silent = [e.id for e in endpoints if e.channel is not Channel.SPEAKER]
        if names and silent:
            sentence = _("{endpoint} is no loudspeaker; horns sound by the siren calendar only.", endpoint=silent[0])
            raise Rejected(RejectReason.UNKNOWN_CHANNEL, sentence, "endpoints")
        found = [e for e in endpoints if e.channel is Channel.SPEAKER and e.enabled]
        if len(found) > self.settings.most_audible:
            sentence = _("{count} loudspeakers are too many for an audible test; {most} are allowed.",
                         count=len(found), most=self.settings.most_audible)  # fmt: skip
            raise Rejected(RejectReason.INVALID_VALUE, sentence, "zone")
        return found

    def _named(self, names: Sequence[str]) -> list[Endpoint]:
        known = self._registry().endpoints
        for name in names:
            if name not in known:
                raise NotFound("endpoint", name)
        return [known[name] for name in dict.fromkeys(names)]

    def _of_zone(self, code: str) -> list[Endpoint]:
        registry = self._registry()
        zone = registry.zone(code)
        return [e for channel in _TESTED for e in registry.members(zone.code, channel)]

    @staticmethod
    def _row(
        occasion: str, endpoint: Endpoint, kind: Kind, due_at: datetime, until: datetime, actor: str, volume: int = 0
    ) -> Row:
        return Row(
            occasion=occasion,
            endpoint_id=endpoint.id,
            channel=endpoint.channel.value,
            kind=kind,
            simulated=endpoint.simulated,
            volume=volume,
            due_at=due_at,
            until=until,
            actor=actor,
        )
