"""Lines from a stream whose other end may die at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


async def lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole lines until the other end is gone, however it went; what it did not finish saying is not heard."""
    while (line := await next_line(stream)) is not None:
        yield line


async def next_line(stream: asyncio.StreamReader) -> bytes | None:
    """The next whole line, or None if the other end is gone."""
    try:
        line = await stream.readline()
    except ConnectionError:  # our own last write to it failed, and the stream tells the reader
        return None
    return line if line.endswith(b"\n") else None
