"""The express lane's own journal: one line for each stop, on disk before the stop goes out.

It stands beside the database because a stop must not wait for the database. A line is removed when the database has
it; what is left at a start is replayed before anything is claimed.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from broadcast_core.model import Stop


class Journal:
    """An append-only file of stops. Its calls block for one fsync: use `asyncio.to_thread`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, stop: Stop) -> None:
        """Write one stop and sync it to the disk. Raises OSError; the stop goes out all the same."""
        line = msgspec.json.encode(stop) + b"\n"
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            os.write(descriptor, line)
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
