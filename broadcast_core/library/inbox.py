"""Uploads on their way in: to a file of bounded size that nobody else reads and that goes when the upload is over."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final, ParamSpec, TypeVar

from broadcast_core.errors import Rejected, RejectReason, StorageFailed
from broadcast_core.i18n import _
from broadcast_core.library.item import Admit

P = ParamSpec("P")
T = TypeVar("T")

_PORTION: Final = 2**20
# Apart from the default threads: those belong to what must not wait (the journal of the stops).
_DISK: Final = ThreadPoolExecutor(2, thread_name_prefix="library")


async def on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of blocking work on files, done in one of the library's own threads. Raises StorageFailed."""
    try:
        return await asyncio.get_running_loop().run_in_executor(_DISK, lambda: work(*args, **kwargs))
    except OSError as error:
        raise StorageFailed(str(error)) from error


class Upload:
    """Bytes that are coming in."""

    def __init__(self, path: Path, file: BinaryIO, most: int, admit: Admit) -> None:
        self.path: Final = path
        self.size = 0
        self._file, self._most, self._admit = file, most, admit
        self._digest = hashlib.sha256()
        self._portion = bytearray()

    async def write(self, chunk: bytes) -> None:
        """Take the next bytes. Raises Rejected(TOO_LARGE or STORAGE_RESERVED), StorageFailed."""
        self.size += len(chunk)
        if self.size > self._most:
            raise too_large(self._most)
        self._portion += chunk
        if len(self._portion) >= _PORTION:
            await self._flush()

    async def finish(self) -> str:
        """The SHA-256 of it all, once it is in the file."""
        await self._flush()
        return self._digest.hexdigest()

    async def _flush(self) -> None:
        portion, self._portion = bytes(self._portion), bytearray()
        self._admit(len(portion))
        await on_disk(self._store, portion)

    def _store(self, portion: bytes) -> None:
        self._digest.update(portion)
        self._file.write(portion)
        self._file.flush()


class Inbox:
    """The folder of unfinished uploads."""

    def __init__(self, folder: Path, most_bytes: int, at_once: int, admit: Admit) -> None:
        self._folder, self._most, self._admit = folder, most_bytes, admit
        self._free = at_once

    def sweep(self) -> None:
        """Make the folder, and remove what a crash left. Blocking. Raises OSError."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._folder.glob("*.upload"):
            left.unlink(missing_ok=True)

    @asynccontextmanager
    async def receiving(self, expected: int | None) -> AsyncIterator[Upload]:
        """Room for one upload of `expected` bytes (None: not known), for as long as the context is held.

        Raises Rejected(BUSY, TOO_LARGE or STORAGE_RESERVED), StorageFailed.
        """
        if (expected or 0) > self._most:
            raise too_large(self._most)
        self._admit(expected or 0)
        if not self._free:
            raise Rejected(RejectReason.BUSY, _("Other uploads are running; try again when one has ended."))
        self._free -= 1
        path = self._folder / f"{secrets.token_hex(8)}.upload"
        try:
            file = await on_disk(_create, path)
            with file:
                yield Upload(path, file, self._most, self._admit)
        finally:
            self._free += 1
            with contextlib.suppress(StorageFailed):
                await on_disk(path.unlink, missing_ok=True)


def too_large(most: int) -> Rejected:
    return Rejected(
        RejectReason.TOO_LARGE, _("The recording is larger than {most} MiB.", most=f"{most / 2**20:g}"), "file"
    )


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
