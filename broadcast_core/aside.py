"""Computing that takes tens of milliseconds or more, beside the event loop and beside the default threads.

The default pool belongs to what must not wait (the journal of the stops): a few large exports at once would fill it.
A thread shares the interpreter with the event loop. What that costs an alert was measured with an import of 50,000
endpoints: at the usual 5 ms for each turn a submit, which takes some thirty turns, was held up by up to a second.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_POOL: Final = ThreadPoolExecutor(max_workers=2, thread_name_prefix="aside")
_SHORT_TURN_S: Final = 0.0005
_USUAL_TURN_S: Final = sys.getswitchinterval()
_running = 0


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `work`, computed in one of two threads. It must not touch what the event loop changes."""
    global _running
    done = asyncio.get_running_loop().run_in_executor(_POOL, lambda: work(*args, **kwargs))
    _running += 1
    sys.setswitchinterval(_SHORT_TURN_S)
    done.add_done_callback(_ended)
    return await done


def _ended(_done: object) -> None:
    global _running
    _running -= 1
    if not _running:
        sys.setswitchinterval(_USUAL_TURN_S)


@contextmanager
def settled() -> Iterator[None]:
    """For making very many objects that will stay: the collector does not walk over them again and again.

    A full collection with 50,000 endpoints in memory holds everything up for 100 to 200 ms.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # what is here now is left out for good; it still goes when nobody refers to it any longer
        if enabled:
            gc.enable()
