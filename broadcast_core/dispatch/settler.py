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
    """Makes receipts durable in groups: while one group commits, the next one gathers, and is one job again.

    While storage fails it keeps them and tries again, loudly.
    """

    def __init__(self, store: Store, live: Live, clock: Clock) -> None:
        self._store = store
        self._live = live
        self._clock = clock
        self._sent: list[Evidence] = []
        self._gathering: list[Evidence] = []
        self._group: asyncio.Future[None] | None = None  # done when what is gathering now is durable
        self._woken = asyncio.Event()
        self.waiting = 0  # receipts not yet durable
        self.durable: Counter[Progress] = Counter()  # receipts made durable since the start
        self.observers: list[Callable[[Sequence[Evidence]], None]] = []  # told of each group; must be quick

    async def settle(self, receipts: Sequence[Receipt]) -> None:
        """Return when `receipts` are durable. What is live in memory has them at once."""
        now = self._clock.now()
        before = len(self._gathering)
        for receipt in receipts:
            entry = self._live.note(receipt)
            item = Evidence(
                receipt=receipt,
                attempt=1 if entry is None else entry.attempt,
                recorded_at=now,
                live=entry is not None,
            )
            (self._sent if receipt.progress is Progress.SENT else self._gathering).append(item)
        if len(self._gathering) > before:
            await asyncio.shield(self._next_group())

    async def run(self) -> None:
        """Write what gathers until cancelled; what has gathered by then is written too."""
        noting_sent = asyncio.create_task(self._gather_sent(), name="settler-sent")
        try:
            while True:
                await self._woken.wait()
                await self._write_group()
        finally:
            noting_sent.cancel()
            self._take_sent()
            await self._write_group()

    def _next_group(self) -> asyncio.Future[None]:
        if self._group is None:
            self._group = asyncio.get_running_loop().create_future()
        self._woken.set()
        return self._group

    async def _gather_sent(self) -> None:
        while True:
            await asyncio.sleep(_SENT_GATHER_S)
            self._take_sent()

    def _take_sent(self) -> None:
        if self._sent:
            self._gathering += self._sent
            self._sent = []
            self._next_group()

    async def _write_group(self) -> None:
        self._woken.clear()
        evidence, self._gathering = self._gathering, []
        group, self._group = self._group, None
        if not evidence:
            return
        self.waiting += len(evidence)
        taken = await self._write(evidence)
        self.waiting -= len(evidence)
        self.durable.update(item.receipt.progress for item in taken)
        for observe in self.observers:
            observe(taken)
        if group is not None and not group.done():
            group.set_result(None)

    async def _write(self, evidence: Sequence[Evidence]) -> Sequence[Evidence]:
        """What of it is durable now. A piece that cannot be stored costs only itself, never the others beside it."""
        while True:
            try:
                return await self._store.write(lambda connection: outbox.settle(connection, evidence))
            except StorageFailed as error:
                log.error("receipts not yet durable", waiting=self.waiting, detail=error.detail)  # noqa: TRY400
                await asyncio.sleep(_RETRY_S)
            except Exception:
                if len(evidence) == 1:
                    endpoint_id = evidence[0].receipt.key.endpoint_id
                    log.exception("a receipt cannot be stored and is dropped", endpoint=endpoint_id)
                    return ()
                middle = len(evidence) // 2
                return (*await self._write(evidence[:middle]), *await self._write(evidence[middle:]))
