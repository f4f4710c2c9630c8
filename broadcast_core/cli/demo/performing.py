"""A demo as a whole program: however it ends, nothing that it started goes on."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Final

from broadcast_core.cli.exits import BY_SIGNAL

_ENDINGS: Final = (signal.SIGTERM, signal.SIGHUP)


def perform(work: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run `work`; 0, or 128 and the signal that ended it. Raises what it raises, and KeyboardInterrupt."""
    ended_by: list[int] = []

    async def run() -> None:
        running = asyncio.current_task()
        assert running is not None
        for number in _ENDINGS:
            asyncio.get_running_loop().add_signal_handler(number, _end, running, number, ended_by)
        await work()

    try:
        asyncio.run(run())
    except asyncio.CancelledError:
        if not ended_by:
            raise
        return BY_SIGNAL + ended_by[0]
    return 0


def _end(running: asyncio.Task[None], number: int, ended_by: list[int]) -> None:
    ended_by.append(number)
    running.cancel()
