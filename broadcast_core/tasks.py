"""Ending tasks for certain."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final

_AGAIN_S: Final = 0.2


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
