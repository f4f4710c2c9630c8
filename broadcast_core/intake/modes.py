"""The switch between peacetime and emergency: durable, audited, sent to every speaker whose mode changes."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core import audit
from broadcast_core.clock import Clock, from_ms, to_ms
from broadcast_core.config import Policy
from broadcast_core.errors import NotFound, Rejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.intake.direct import Direct, Message
from broadcast_core.mode import Modes, ModeSetting, switched
from broadcast_core.model import Channel, Domain, Endpoint, MessageKind, Mode, ModeChange
from broadcast_core.registry import Registry
from broadcast_core.services import Switched
from broadcast_core.store import Store
from broadcast_core.store.schema import mode as mode_table

log = structlog.get_logger(__name__)

# A speaker that is away longer learns its mode from the orders that answer its hello.
_TOLD_FOR: Final = timedelta(minutes=10)
_REMIND_EVERY_S: Final = 30.0
_LONGEST_REASON: Final = 500


class ModeDesk:
    """Holds the modes in memory, and switches them one at a time."""

    def __init__(
        self,
        modes: Modes,
        *,
        store: Store,
        direct: Direct,
        registry: Callable[[], Registry],
        policy: Policy,
        clock: Clock,
        changed: Callable[[Modes], Awaitable[None]] | None = None,
    ) -> None:
        self.modes = modes
        self._store = store
        self._direct = direct
        self._registry = registry
        self._policy = policy
        self._clock = clock
        self._changed = changed
        self._one_at_a_time = asyncio.Lock()

    def of(self, endpoint: Endpoint) -> tuple[Mode, int]:
        """An endpoint's mode and the volume below which nothing sounds in it."""
        mode = self.modes.of(endpoint.zone, self._registry())
        return mode, self._floor(mode)

    async def set(
        self,
        zones: Collection[str],
        mode: Mode,
        *,
        actor: str,
        reason: str,
        remind_after: timedelta | None = None,
        cause: str | None = None,
    ) -> Switched:
        """Give zones a mode of their own. Raises Rejected(MISSING, INVALID_VALUE), NotFound, StorageFailed."""
        if not reason.strip():
            raise Rejected(RejectReason.MISSING, _("Say why: the reason of a switch is kept and shown."), "reason")
        if len(reason) > _LONGEST_REASON:
            sentence = _("A reason has at most {most} characters.", most=_LONGEST_REASON)
            raise Rejected(RejectReason.TOO_LARGE, sentence, "reason")
        if not zones:
            raise Rejected(RejectReason.NO_AREA, _("Name the zones whose mode is to change."), "zone")
        now = self._clock.now()
        remind = remind_after or self._policy.emergency_reminder
        settings = [
            ModeSetting(
                zone=self._registry().zone(zone).code,
                mode=mode,
                reason=reason.strip(),
                actor=actor,
                set_at=now,
                remind_at=now + remind if mode is Mode.EMERGENCY else None,
                cause=cause,
            )
            for zone in zones
        ]
        return await self._switch(settings, (), actor=actor, reason=reason)

    async def clear(self, zone: str, *, actor: str, reason: str) -> Switched:
        """Let a zone have its parent's mode again. Raises NotFound if it has none of its own."""
        if zone not in self.modes.settings:
            raise NotFound("mode", zone)
        return await self._switch((), (zone,), actor=actor, reason=reason)

    async def remind_forever(self) -> None:
        """Ask about every emergency that has outlived its reason, once: in the log and in the audit."""
        reminded: set[tuple[str, datetime]] = set()
        while True:
            for setting in self.modes.overdue(self._clock.now()):
                if (setting.zone, setting.set_at) not in reminded:
                    await self._store.write(partial(_remind, setting, self._clock.now()))
                    reminded.add((setting.zone, setting.set_at))
                    log.warning("an emergency mode has outlived its reason", zone=setting.zone, reason=setting.reason)
            await asyncio.sleep(_REMIND_EVERY_S)

    async def _switch(
        self, settings: Iterable[ModeSetting], cleared: Iterable[str], *, actor: str, reason: str
    ) -> Switched:
        settings, cleared = tuple(settings), tuple(cleared)
        async with self._one_at_a_time:
            before, registry = self.modes, self._registry()
            after = before
            for setting in settings:
                after = after.with_setting(setting)
            for zone in cleared:
                after = after.without(zone)
            changed = switched(before, after, registry)
            now = self._clock.now()
            messages = self._messages(changed, actor, reason, registry, now)

            async def also(connection: AsyncConnection) -> None:
                await _store(connection, settings, cleared, changed, actor, reason, now)

            self.modes = after  # a speaker that says hello from now on is told the new mode
            try:
                await self._direct.open(messages, also)
            except BaseException:
                self.modes = before
                raise
            log.warning("mode", changed=len(changed), actor=actor, messages=[m.alert_id for m in messages])
        if self._changed is not None and changed:
            await self._changed(after)
        return Switched(
            changed=changed,
            messages=tuple(m.alert_id for m in messages),
            endpoints=sum(len(m.targets) for m in messages),
        )

    def _messages(
        self, changed: Mapping[str, Mode], actor: str, reason: str, registry: Registry, now: datetime
    ) -> list[Message]:
        """One message for each mode that some speakers change to."""
        messages = []
        for mode in Mode:
            targets = [e for e in registry.ordered(Channel.SPEAKER) if changed.get(e.zone) is mode]
            if not targets:
                continue
            alert_id = f"m{secrets.token_hex(8)[:15]}"
            order = ModeChange(
                alert_id=alert_id,
                revision=1,
                domain=Domain.LIVE,
                mode=mode,
                issued_at=now,
                expires=now + _TOLD_FOR,
                actor=actor,
                volume_floor=self._floor(mode),
            )
            messages.append(
                Message(
                    kind=MessageKind.MODE,
                    alert_id=alert_id,
                    revision=1,
                    starts={Channel.SPEAKER: order},
                    targets=targets,
                    expires=order.expires,
                    actor=actor,
                    title=mode.value,
                    detail={"mode": mode.value, "reason": reason},
                )
            )
        return messages

    def _floor(self, mode: Mode) -> int:
        return self._policy.emergency_volume_floor if mode is Mode.EMERGENCY else 0


async def load_modes(store: Store) -> Modes:
    """The settings as the database has them."""
    async with store.read() as connection:
        rows = (await connection.execute(select(mode_table))).mappings().all()
    return Modes(
        {
            row["zone"]: ModeSetting(
                zone=row["zone"],
                mode=Mode(row["mode"]),
                reason=row["reason"],
                actor=row["actor"],
                set_at=from_ms(row["set_at"]),
                remind_at=None if row["remind_at"] is None else from_ms(row["remind_at"]),
                cause=row["cause"],
            )
            for row in rows
        }
    )


async def _store(
    connection: AsyncConnection,
    settings: Iterable[ModeSetting],
    cleared: Iterable[str],
    changed: Mapping[str, Mode],
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    module = sqlite if connection.dialect.name == "sqlite" else postgresql
    for setting in settings:
        values = {
            "mode": setting.mode.value,
            "reason": setting.reason,
            "actor": setting.actor,
            "set_at": to_ms(setting.set_at),
            "remind_at": None if setting.remind_at is None else to_ms(setting.remind_at),
            "cause": setting.cause,
        }
        statement = module.insert(mode_table).values(zone=setting.zone, **values)
        await connection.execute(statement.on_conflict_do_update(index_elements=["zone"], set_=values))
        await _audit(connection, setting.zone, setting.mode.value, setting.cause, changed, actor, reason, now)
    for zone in cleared:
        await connection.execute(delete(mode_table).where(mode_table.c.zone == zone))
        await _audit(connection, zone, "inherited", None, changed, actor, reason, now)


async def _remind(setting: ModeSetting, now: datetime, connection: AsyncConnection) -> None:
    detail = {"reason": setting.reason, "set_by": setting.actor, "cause": setting.cause}
    await audit.record(connection, now=now, actor="policy", action="mode.remind", object_=setting.zone, detail=detail)


async def _audit(
    connection: AsyncConnection,
    zone: str,
    mode: str,
    cause: str | None,
    changed: Mapping[str, Mode],
    actor: str,
    reason: str,
    now: datetime,
) -> None:
    detail = {"mode": mode, "reason": reason, "zones_changed": len(changed), "cause": cause}
    await audit.record(connection, now=now, actor=actor, action="mode.set", object_=zone, detail=detail)
