"""The express lane's own journal: one line for each stop, on disk before the stop goes out.

It stands beside the database because a stop must not wait for the database. A line is removed when the database has
it; what is left at a start is replayed before anything is claimed.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from broadcast_core.model import Stop
from broadcast_core.reserve import writing_again


class Journal:
    """An append-only file of stops. Its calls block for one fsync: use `asyncio.to_thread`."""

    def __init__(self, path: Path, *, on_full: Callable[[], bool] = lambda: False) -> None:
        """`on_full` may make room on a full disk."""
        self._path = path
        self._on_full = on_full

    def append(self, stop: Stop) -> None:
        """Write one stop and sync it to the disk. Raises OSError; the stop goes out all the same."""
        # Begun on a line of its own: a full disk may have cut the one before.
        writing_again(partial(self._write, b"\n" + msgspec.json.encode(stop) + b"\n"), self._on_full)

    def _write(self, line: bytes) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if os.write(descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def pending(self) -> list[Stop]:
        """What has not been recorded yet, oldest first. A torn last line (power loss) is left out."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return []
        stops = []
        for line in data.split(b"\n"):
            try:
                stops.append(msgspec.json.decode(line, type=Stop))
            except msgspec.DecodeError:
                continue
        return stops

    def clear(self) -> None:
        """Everything in it has been recorded."""
        self._path.unlink(missing_ok=True)
