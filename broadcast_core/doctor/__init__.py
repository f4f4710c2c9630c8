"""Looking at an installation before an alert needs it. Nothing is sent to the field, nothing sounds.

examine   every check, one after the other, with what it found
CHECKS    the checks, in their order
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from broadcast_core.clock import Clock
from broadcast_core.config import Settings
from broadcast_core.doctor import broker, field, machine, ports, proof, storage
from broadcast_core.doctor.finding import Finding, Grade, fail
from broadcast_core.doctor.scene import Scene, scene_of
from broadcast_core.i18n import Sentence, _

__all__ = ["CHECKS", "Check", "Finding", "Grade", "examine"]

_PATIENCE_S: Final = 60.0  # far beyond any check; one that hangs must not hide the others


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. `name` is for programs and never changes."""

    name: str
    title: Sentence
    look: Callable[[Scene], Awaitable[Finding]]


CHECKS: Final = (
    Check("versions", _("software"), machine.versions),
    Check("core", _("core"), ports.core),
    Check("ports", _("addresses"), ports.ports),
    Check("descriptors", _("open files"), machine.descriptors),
    Check("clock", _("clock"), machine.clock),
    Check("data", _("data directory"), storage.space),
    Check("fsync", _("durable writes"), storage.fsync),
    Check("registry", _("registry"), storage.database),
    Check("keys", _("keys"), storage.secrets),
    Check("broker", _("broker"), broker.reached),
    Check("storm", _("acknowledgements"), broker.storm),
    Check("connections", _("connections"), broker.crowd),
    Check("serial", _("serial lines"), field.serial_lines),
    Check("timers", _("board timers"), field.board_timers),
    Check("sms", _("SMS gateway"), field.gateway),
    Check("speech", _("speech"), field.speech),
    Check("selftest", _("self-test"), proof.selftest),
)


async def examine(settings: Settings, clock: Clock) -> AsyncIterator[tuple[Check, Finding]]:
    """Each check with its finding, as they come; one after the other, so that none disturbs another's times."""
    async with scene_of(settings, clock) as scene:
        for check in CHECKS:
            try:
                async with asyncio.timeout(_PATIENCE_S):
                    finding = await check.look(scene)
            except TimeoutError:
                finding = fail(_("This check was not done after {seconds} s.", seconds=f"{_PATIENCE_S:.0f}"))
            yield check, finding
