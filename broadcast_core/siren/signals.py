"""Sounding one signal: written down, accepted as an alert, and written down again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import Clock
from broadcast_core.errors import AlertRejected, NotFound
from broadcast_core.live import Live
from broadcast_core.model import DeliveryKind, Progress
from broadcast_core.plan import parse_areas
from broadcast_core.registry import Registry
from broadcast_core.services import IntakePort, StopPort
from broadcast_core.siren import rows
from broadcast_core.siren.alerts import identifier, signal_alert
from broadcast_core.siren.rows import SignalOutcome, Sounded
from broadcast_core.siren.templates import Act, Templates
from broadcast_core.store import Store

log = structlog.get_logger(__name__)


class Signals:
    """All signals, in memory and durable."""

    def __init__(
        self,
        *,
        templates: Templates,
        intake: IntakePort,
        express: StopPort,
        live: Live,
        store: Store,
        registry: Callable[[], Registry],
        sender: str,
        clock: Clock,
    ) -> None:
        self.templates = templates
        self.known: dict[tuple[str, int], Sounded] = {}
        self.live = live
        self._intake = intake
        self._express = express
        self._store = store
        self._registry = registry
        self._sender = sender
        self._clock = clock

    async def load(self, stored: rows.Stored) -> None:
        """What was being sent when the core died either had been accepted or never went out: the outbox knows.
        Nothing is sent again here."""
        self.known = dict(stored.signals)
        for signal in list(self.known.values()):
            if signal.outcome is not SignalOutcome.SENDING:
                continue
            name = identifier(signal.act_id, signal.number)
            async with self._store.read() as connection:
                alert_id = await rows.accepted(connection, self._sender, name, signal.sent)
            if alert_id is not None:
                await self._keep(replace(signal, outcome=SignalOutcome.SENT, alert_id=alert_id))

    async def sound(
        self, act_id: str, act: Act, number: int, *, area: tuple[str, ...], sent: datetime, actor: str
    ) -> Sounded:
        """Sound it; the same again (with the same `sent`) is the same alert. Raises AlertRejected, StorageFailed."""
        signal = act.signals[number]
        row = Sounded(
            act_id=act_id,
            number=number,
            pattern=signal.pattern,
            sent=sent,
            actor=actor,
            outcome=SignalOutcome.SENDING,
        )
        await self._keep(row, "siren.signal")
        pattern = self.templates.patterns[signal.pattern]
        alert = signal_alert(act, signal, pattern, act_id=act_id, number=number, sender=self._sender, sent=sent)
        try:
            expression = parse_areas(area, self._registry().root.code)
            accepted = await self._intake.submit(alert, actor=actor, area=expression)
        except AlertRejected as refusal:
            await self._keep(replace(row, outcome=SignalOutcome.REFUSED, detail=str(refusal)), "siren.refused")
            raise
        done = replace(row, outcome=SignalOutcome.SENT, alert_id=accepted.alert_id)
        self.known[done.act_id, done.number] = done  # the truth, even if it cannot be written down now
        await self._keep(done)
        log.warning("siren", act=act_id, signal=signal.pattern, alert=accepted.alert_id)
        return done

    async def miss(self, act_id: str, act: Act, number: int, *, sent: datetime, actor: str, why: str) -> None:
        """Its time has passed: on record, and never made up for."""
        pattern = act.signals[number].pattern
        row = Sounded(
            act_id=act_id,
            number=number,
            pattern=pattern,
            sent=sent,
            actor=actor,
            outcome=SignalOutcome.MISSED,
            detail=why,
        )
        await self._keep(row, "siren.missed")
        log.error("siren missed", act=act_id, signal=pattern, why=why)

    async def stop(self, act_id: str, *, actor: str) -> list[str]:
        """End every signal of the act that may sound; their alerts. Never waits for the database."""
        stopped = []
        for signal in self.of(act_id):
            if signal.alert_id is None or not self._may_sound(signal.alert_id):
                continue
            try:
                await self._express.stop(signal.alert_id, actor=actor, reason=act_id)
            except (NotFound, AlertRejected):  # it is over already
                continue
            stopped.append(signal.alert_id)
        return stopped

    def _may_sound(self, alert_id: str) -> bool:
        """Whether an endpoint has it, or is to get it, without a proven end."""
        return any(
            entry.key.kind is DeliveryKind.START and entry.progress < Progress.STOPPED
            for live in self.live.revisions(alert_id)
            for entry in live.deliveries.values()
        )

    def of(self, act_id: str) -> list[Sounded]:
        """The signals of an act, in order."""
        return [self.known[key] for key in sorted(self.known) if key[0] == act_id]

    async def _keep(self, signal: Sounded, action: str | None = None) -> None:
        now = self._clock.now()

        async def job(connection: AsyncConnection) -> None:
            await rows.put_signal(connection, signal)
            if action is not None:
                detail = {"number": signal.number, "pattern": signal.pattern, "why": signal.detail}
                record = partial(audit.record, connection, now=now, actor=signal.actor, action=action)
                await record(object_=signal.act_id, detail=detail)

        await self._store.write(job)
        self.known[signal.act_id, signal.number] = signal
