"""What somebody else's event becomes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time, timedelta

from broadcast_core.i18n import Sentence
from scheduler.model import Recurrence


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """When something is to play and for how long. It needs zones, a playlist and a volume to become a slot."""

    uid: str
    name: str
    start: time | None  # None for a cron, as in a `Slot`
    length: timedelta
    recurrence: Recurrence
    notes: tuple[Sentence, ...] = ()
