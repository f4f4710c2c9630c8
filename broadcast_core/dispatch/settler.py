"""Evidence on its way into the database, and nothing lost on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from broadcast_core import outbox
from broadcast_core.clock import Clock
from broadcast_core.errors import StorageFailed
from broadcast_core.live import Live
from broadcast_core.model import Progress, Receipt
from broadcast_core.outbox import Evidence
from broadcast_core.store import Store

log = structlog.get_logger(__name__)

_RETRY_S: Final = 0.5
# "Sent" is our own word, not an endpoint's: it may wait, so that it never stands before a receipt.
_SENT_GATHER_S: Final = 0.2


class Settler:
    """Makes receipts durable in groups. While storage fails it keeps them and tries again, loudly."""

    def __init__(self, store: Store, live: Live, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._clock = clock
        self._sent: list[Evidence] = []
        self.waiting = 0  # receipts not yet durable
        self.durable: Counter[Progress] = Counter()  # receipts made durable since the start
        self.observers: list[Callable[[Sequence[Evidence]], None]] = []  # told of each batch; must be quick

    async def settle(self, receipts: Sequence[Receipt]) -> None:
        """Return when `receipts` are durable. What is live in memory has them at once."""
        now = self._clock.now()
        evidence: list[Evidence] = []
        sent: list[Evidence] = []
        for receipt in receipts:
            entry = self._live.note(receipt)
            item = Evidence(receipt=receipt, attempt=1 if entry is None else entry.attempt, recorded_at=now)
            (sent if receipt.progress is Progress.SENT else evidence).append(item)
        self._sent += sent
        if evidence:
            await self._write(evidence)

    async def run(self) -> None:
        """Write what was sent, a little later than it happened, until cancelled."""
        try:
            while True:
                await asyncio.sleep(_SENT_GATHER_S)
                await self._flush_sent()
        finally:
            await self._flush_sent()

    async def _flush_sent(self) -> None:
        if self._sent:
            batch, self._sent = self._sent, []
            await self._write(batch)

    async def _write(self, evidence: Sequence[Evidence]) -> None:
        self.waiting += len(evidence)
        try:
            while True:
                try:
                    await self._store.write(lambda connection: outbox.settle(connection, evidence))
                    self.durable.update(item.receipt.progress for item in evidence)
                    for observe in self.observers:
                        observe(evidence)
                    return
                except StorageFailed as error:
                    log.error("receipts not yet durable", waiting=self.waiting, detail=error.detail)  # noqa: TRY400
                    await asyncio.sleep(_RETRY_S)
        finally:
            self.waiting -= len(evidence)
