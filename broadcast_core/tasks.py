"""Tasks that go on whatever happens to them, and end for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)

_AGAIN_S: Final = 0.2
_RESTART_S: Final = 0.5


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until every one has ended; what they raised is theirs.

    Once is not enough: on Python 3.11 `asyncio.wait_for` (aiomqtt connects and subscribes through it) swallows a
    cancellation that comes in the moment its own future is done, and the task goes on as if nothing had been said.
    """
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _done, running = await asyncio.wait(running, timeout=_AGAIN_S)


async def keep_running(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run `work` again when it dies: one broken message must not silence what it belongs to for good."""
    while True:
        try:
            await work()
            return
        except Exception:
            log.exception("a task died and is started again", task=name)
            await asyncio.sleep(_RESTART_S)
