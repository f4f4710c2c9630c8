"""Computing that takes tens of milliseconds, beside the event loop and beside the default threads.

The default pool belongs to what must not wait (the journal of the stops): a few large exports at once would fill it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_POOL: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="aside")


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, computed in one of two threads. It must not touch what the event loop changes."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, lambda: work(*args, **kwargs))
