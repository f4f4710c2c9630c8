"""What the field said, on its way to whoever listens, in batches."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from typing import Final

from broadcast_core.model import Batch, Channel, Receipt

_BATCH: Final = 256  # one transaction's worth


class Arrivals:
    """A queue of receipts. A report's receipt has somebody waiting to hear that it is durable."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: deque[tuple[Receipt, asyncio.Future[None] | None]] = deque()
        self._news = asyncio.Event()
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def note(self, receipts: Iterable[Receipt]) -> None:
        """Evidence of our own: nobody waits for it to be durable."""
        self._waiting.extend((receipt, None) for receipt in receipts)
        self._news.set()

    def report(self, receipt: Receipt) -> asyncio.Future[None]:
        """Evidence from outside. The future is done once it is durable; wait for it with a limit."""
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((receipt, durable))
        self._news.set()
        return durable

    def close(self) -> None:
        """Let `batches` end after what is still here."""
        self._closed = True
        self._news.set()

    async def batches(self) -> AsyncIterator[Batch]:
        """Whatever is there, up to 256 receipts at a time, until closed and empty."""
        while True:
            await self._news.wait()
            while self._waiting:
                yield self._batch()
            if self._closed:
                return
            self._news.clear()

    def _batch(self) -> Batch:
        taken = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        owed = [durable for _, durable in taken if durable is not None]
        return Batch(
            channel=self._channel, events=tuple(receipt for receipt, _ in taken), settled=partial(_tell, owed)
        )


def _tell(owed: Sequence[asyncio.Future[None]]) -> None:
    for durable in owed:
        if not durable.done():  # whoever waited may have given up
            durable.set_result(None)
