"""Alerts and evidence put straight into the database, as intake and dispatch would."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit, cap, outbox, plan
from broadcast_core.clock import to_ms
from broadcast_core.i18n import Sentence
from broadcast_core.model import (
    Alert,
    Approval,
    Authority,
    Category,
    Certainty,
    Channel,
    Delivery,
    DeliveryKey,
    DeliveryKind,
    Domain,
    Endpoint,
    Info,
    Level,
    MsgType,
    Plan,
    Progress,
    Reason,
    Receipt,
    Scope,
    Severity,
    SoundClass,
    Spoken,
    Standing,
    Start,
    Status,
    Stop,
    Unreachable,
    Urgency,
    Zone,
    ZoneLevel,
)
from broadcast_core.model.form import encode_starts
from broadcast_core.outbox import Evidence
from broadcast_core.registry import Registry
from broadcast_core.store import Store
from broadcast_core.store.schema import alert as alert_table
from broadcast_core.store.schema import filed as filed_table

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _message(identifier: str, msg_type: MsgType, headline: str) -> Alert:
    info = Info(
        category=(Category.MET,),
        event="暴雨",
        urgency=Urgency.IMMEDIATE,
        severity=Severity.SEVERE,
        certainty=Certainty.OBSERVED,
        headline=headline,
    )
    return Alert(
        identifier=identifier,
        sender="duty@tianxin",
        sent=NOW,
        status=Status.ACTUAL,
        msg_type=msg_type,
        scope=Scope.PUBLIC,
        references=() if msg_type is MsgType.ALERT else (_message("A", MsgType.ALERT, "x").reference,),
        infos=(info,),
    )


@dataclass
class Ledger:
    """Writes alerts and evidence, and knows what it wrote."""

    store: Store
    registry: Registry

    def endpoint(self, identifier: str) -> Endpoint:
        return self.registry.endpoints[identifier]

    async def accept(
        self, alert_id: str, endpoints: Iterable[str], *, revision: int = 1, at: datetime = NOW,
        headline: str = "预警", actor: str = "李值班", unreachable: Iterable[str] = (),
        notes: Iterable[Sentence] = (),
    ) -> None:  # fmt: skip
        """An alert's revision with its deliveries, all queued."""
        message = _message(f"{alert_id}-{revision}", MsgType.ALERT if revision == 1 else MsgType.UPDATE, headline)
        start = _start(alert_id, revision, at)
        made = Plan(
            alert_id=alert_id,
            revision=revision,
            deliveries=tuple(Delivery(endpoint=self.endpoint(e), order=start, via="D") for e in endpoints),
            unreachable=tuple(Unreachable(endpoint=self.endpoint(e), reason=Reason.DISABLED) for e in unreachable),
        )

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(
                insert(alert_table).values(
                    alert_id=alert_id,
                    revision=revision,
                    sender=message.sender,
                    identifier=message.identifier,
                    sent=to_ms(message.sent),
                    msg_type=message.msg_type.value,
                    cap=cap.encode_json(message).decode(),
                    expression=msgspec.json.encode(plan.to_builtins(plan.parse_area("district", "D"))).decode(),
                    notes=msgspec.json.encode([{"msgid": n.msgid, "values": n.values} for n in notes]).decode(),
                    accepted_at=to_ms(at),
                    expires=to_ms(at + HOUR),
                    actor=actor,
                    starts=encode_starts({Channel.SPEAKER: start}),
                )
            )
            await outbox.put(connection, made, expires=at + HOUR, now=at)
            await audit.record(
                connection, now=at, actor=actor, action="alert.begin", object_=alert_id, detail={"revision": revision}
            )

        await self.store.write(write)

    async def say(
        self, alert_id: str, endpoint_id: str, *progresses: Progress, after: float = 1.0, revision: int = 1,
        kind: DeliveryKind = DeliveryKind.START, reason: Reason | None = None, attempt: int = 1, detail: str = "",
        retry_after: timedelta | None = None, played: timedelta | None = None,
    ) -> None:  # fmt: skip
        """Evidence of one endpoint, on record so long after the acceptance; its own clock is a second late."""
        key = DeliveryKey(alert_id=alert_id, revision=revision, kind=kind, endpoint_id=endpoint_id)
        recorded_at = NOW + timedelta(seconds=after)
        pieces = [
            Evidence(
                receipt=Receipt(
                    key=key,
                    progress=progress,
                    at=recorded_at - timedelta(seconds=1),
                    reason=reason,
                    detail=detail,
                    played=played,
                    retry_after=retry_after,
                ),
                attempt=attempt,
                recorded_at=recorded_at,
            )
            for progress in progresses
        ]
        await self.store.write(lambda connection: outbox.settle(connection, pieces))

    async def again(self, alert_id: str, endpoint_id: str, attempt: int) -> None:
        """The delivery goes back into the queue and is claimed once more."""
        key = DeliveryKey(alert_id=alert_id, revision=1, kind=DeliveryKind.START, endpoint_id=endpoint_id)
        channel = self.endpoint(endpoint_id).channel

        async def write(connection: AsyncConnection) -> None:
            await outbox.release(connection, [(key, attempt, NOW)])
            await outbox.claim(connection, channel, NOW)

        await self.store.write(write)

    async def expire(self, alert_id: str, endpoint_id: str, reason: Reason) -> None:
        key = DeliveryKey(alert_id=alert_id, revision=1, kind=DeliveryKind.START, endpoint_id=endpoint_id)
        await self.store.write(lambda connection: outbox.expire(connection, [(key, reason)]))

    async def claim(self, channel: Channel) -> None:
        await self.store.write(lambda connection: outbox.claim(connection, channel, NOW))

    async def stop(self, alert_id: str, endpoints: Iterable[str], *, after: float = 10, reason: str = "") -> None:
        """A stop that was told to these endpoints."""
        at = NOW + timedelta(seconds=after)
        stop = Stop(
            alert_id=alert_id, revision=1, domain=Domain.LIVE, acted_at=at, expires=at + HOUR, actor="王主任",
            cause="stop",
        )  # fmt: skip
        made = Plan(
            alert_id=alert_id,
            revision=1,
            deliveries=tuple(Delivery(endpoint=self.endpoint(e), order=stop) for e in endpoints),
        )

        async def write(connection: AsyncConnection) -> None:
            await outbox.end(connection, stop)
            await outbox.put(connection, made, expires=stop.expires, now=at, progress=Progress.SENT)
            await audit.record(
                connection, now=at + HOUR, acted_at=at, actor="王主任", action="alert.stop", object_=alert_id,
                detail={"revision": 1, "reason": reason},
            )  # fmt: skip

        await self.store.write(write)

    async def file(self, alert_id: str, identifier: str) -> None:
        """A Cancel that ended the alert."""
        message = _message(identifier, MsgType.CANCEL, "解除")
        statement = insert(filed_table).values(
            sender=message.sender,
            identifier=identifier,
            sent=to_ms(message.sent),
            alert_id=alert_id,
            msg_type="Cancel",
            outcome="end",
            cap=cap.encode_json(message).decode(),
            filed_at=to_ms(NOW),
            actor="李值班",
        )

        async def write(connection: AsyncConnection) -> None:
            await connection.execute(statement)

        await self.store.write(write)


@pytest.fixture
def registry() -> Registry:
    zones = (
        Zone(code="D", parent=None, level=ZoneLevel.DISTRICT, name_zh="天心区", name_en="Tianxin"),
        Zone(code="N", parent="D", level=ZoneLevel.SUBDISTRICT, name_zh="北街道", name_en="North"),
    )
    speakers = (
        Endpoint(
            id=f"SPK-{n}", channel=Channel.SPEAKER, zone="N" if n < 4 else "D", name=f"喇叭 {n}", simulated=n > 2
        )
        for n in range(1, 8)
    )
    phones = (
        Endpoint(id=f"SMS-{n}", channel=Channel.SMS, zone="D", name="=人", phone=f"+99900000000{n:02}")
        for n in range(1, 4)
    )
    return Registry(zones, (*speakers, *phones))


@pytest.fixture
def ledger(store: Store, registry: Registry) -> Ledger:
    return Ledger(store, registry)


def _start(alert_id: str, revision: int, at: datetime) -> Start:
    return Start(
        alert_id=alert_id,
        revision=revision,
        domain=Domain.LIVE,
        standing=Standing(
            sound_class=SoundClass.EMERGENCY,
            authority=Authority.DISTRICT,
            level=Level.RED,
            urgency=Urgency.IMMEDIATE,
            certainty=Certainty.OBSERVED,
        ),
        issued_at=at,
        starts_at=at,
        expires=at + HOUR,
        content=Spoken(tone="attention", audio=None, text=()),
        approval=Approval(kind="one-person", actors=("李值班",)),
    )
