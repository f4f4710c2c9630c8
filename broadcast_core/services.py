"""What the edges (API, pages, command line) may ask of the core: the acts and their answers.

`broadcast_core.app` builds the one `Services` of a process; handlers get it and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from broadcast_core.clock import Clock
from broadcast_core.config import Settings
from broadcast_core.dispatch import Dispatch
from broadcast_core.i18n import Sentence
from broadcast_core.library import Library
from broadcast_core.live import Live
from broadcast_core.mode import Modes
from broadcast_core.model import Alert, Channel, Mode, MsgType
from broadcast_core.plan import Expression
from broadcast_core.registry import Change, ImportMode, Registry, Sheet
from broadcast_core.reserve import Reserve
from broadcast_core.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Idempotency:
    """A caller's own name for a request: the same again gives the same answer, never a second alert."""

    key: str
    fingerprint: str  # SHA-256 hex over what was asked; the same key with another one is refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """A message that is durable and on its way."""

    alert_id: str
    revision: int
    msg_type: MsgType
    accepted_at: datetime
    targets: Mapping[Channel, int]
    simulated: int  # how many of the targets are simulated
    unreachable: int
    notes: tuple[Sentence, ...] = ()
    ended: tuple[tuple[str, int], ...] = ()  # what it ended, as (alert_id, revision)
    repeated: bool = False  # the answer to an earlier, identical request


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A stop that has been sent. Which endpoints are silent, the report tells."""

    alert_id: str
    revision: int
    acted_at: datetime
    endpoints: Mapping[Channel, int]
    taken: Mapping[Channel, bool]  # whether the channel's driver took it; where not, it is tried again
    journaled: bool


class IntakePort(Protocol):
    """The one entrance for every trigger."""

    async def submit(
        self, alert: Alert, *, actor: str, area: Expression | None = None, idempotency: Idempotency | None = None
    ) -> Accepted:
        """Accept an alert, durably, or refuse it with AlertRejected / StorageFailed. `area` re-aims it."""
        ...

    async def import_registry(self, new: Registry | Sheet, *, actor: str, mode: ImportMode) -> Change:
        """Make an imported registry the current one; devices whose zones changed are told."""
        ...


class StopPort(Protocol):
    """The express lane."""

    async def stop(self, alert_id: str, *, actor: str, reason: str = "") -> Stopped:
        """End an alert everywhere, now. Raises NotFound, or AlertRejected(NOT_LIVE). Never waits for the database."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Switched:
    """What a switch of mode did. `messages` are the identities under which the field's proof is reported."""

    changed: Mapping[str, Mode]  # zones whose effective mode is another now
    messages: tuple[str, ...]
    endpoints: int


class ModePort(Protocol):
    """Peacetime or emergency."""

    @property
    def modes(self) -> Modes:
        """The settings now."""
        ...

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
        """Give zones a mode of their own. Raises Rejected (no reason, no zone), NotFound, StorageFailed."""
        ...

    async def clear(self, zone: str, *, actor: str, reason: str) -> Switched:
        """Let a zone have its parent's mode again. Raises NotFound if it has none of its own."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Services:
    """The core as its edges see it."""

    modes: ModePort
    settings: Settings
    store: Store
    live: Live
    dispatch: Dispatch
    intake: IntakePort
    express: StopPort
    library: Library
    clock: Clock
    reserve: Reserve
    registry: CurrentRegistry


class CurrentRegistry(Protocol):
    def __call__(self) -> Registry:
        """The current registry (a snapshot that never changes; ask again for a newer one)."""
        ...
