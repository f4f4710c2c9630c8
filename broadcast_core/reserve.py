"""Room on the disk that belongs to alerts (P8, P14).

Two things, because the disk is filled by us and by others:

* what is not an alert (a registry file, a recording) is refused while less than `space.reserve_mb` would be left;
* a file, the *ballast*, holds `space.ballast_mb`. When the disk is full all the same, it is let go, so that alerts,
  receipts and stops can be written, and everybody is told. It comes back when there is room for it and the reserve.

Both are about the file system of `data_dir`. A PostgreSQL server elsewhere has to look after its own disk.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import structlog

from broadcast_core import tasks
from broadcast_core.config import Space
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.i18n import _

log = structlog.get_logger(__name__)

MB: Final = 1_000_000
_NAME: Final = "ballast"
_ALMOST_FULL: Final = 8 * MB  # let go before the first write fails: not every program of ours tries twice
_LOOK_EVERY_S: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """How the disk stands. `ballast` is whether that file is still held, or was never wanted."""

    free: int  # bytes that this user may fill
    reserved: bool  # what is not an alert is refused
    ballast: bool


def free_bytes(folder: Path) -> int:
    """What this user may still write where `folder` is."""
    return shutil.disk_usage(folder).free


class Reserve:
    """`async with Reserve(...)` holds the ballast and looks after it. `folder` has to be there."""

    def __init__(
        self,
        folder: Path,
        space: Space,
        *,
        free: Callable[[Path], int] = free_bytes,
        look_every_s: float = _LOOK_EVERY_S,
    ) -> None:
        self._folder, self._free, self._look_every_s = folder, free, look_every_s
        self._path = folder / _NAME
        self._reserve, self._ballast = space.reserve_mb * MB, space.ballast_mb * MB
        self._keeper: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.look)
        self._keeper = asyncio.create_task(self._keep(), name="reserve")
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._keeper is not None:
            await tasks.end([self._keeper])

    def room(self) -> Room:
        """How it stands now."""
        free = self._free(self._folder)
        return Room(free=free, reserved=free < self._reserve, ballast=not self._ballast or self._path.exists())

    def admit(self, size: int) -> None:
        """Ask before writing `size` bytes that are not an alert's. Raises Rejected(STORAGE_RESERVED)."""
        free = self._free(self._folder)
        if free - size < self._reserve:
            raise Rejected(
                RejectReason.STORAGE_RESERVED,
                _("The disk has {free} MB left, and {reserve} MB are kept for alerts: make room first.",
                  free=free // MB, reserve=self._reserve // MB),
            )  # fmt: skip

    def let_go(self) -> bool:
        """The disk is full: give the ballast up. Whether there was one, so that trying again makes sense."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.critical("the disk is full: the ballast has been let go, make room now", ballast_mb=self._ballast // MB)
        return True

    def look(self) -> None:
        """Let go when almost nothing is left, take back when there is room for both. Blocking."""
        free = self._free(self._folder)
        if free < _ALMOST_FULL:
            self.let_go()
        elif self._ballast and not self._path.exists():
            if free >= self._ballast + self._reserve:
                self._take()
            else:
                log.error(
                    "no room for the ballast", free_mb=free // MB, wanted_mb=(self._ballast + self._reserve) // MB
                )

    def _take(self) -> None:
        part = self._path.with_suffix(".part")
        try:
            descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._ballast)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            part.replace(self._path)
        except OSError as error:
            part.unlink(missing_ok=True)
            log.error("no room for the ballast", detail=str(error))  # noqa: TRY400
        else:
            log.info("the ballast is held", ballast_mb=self._ballast // MB)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            try:
                await asyncio.to_thread(self.look)
            except OSError as error:
                log.error("the disk cannot be looked at", detail=str(error))  # noqa: TRY400


def is_full(error: BaseException) -> bool:
    """Whether an error says that the disk is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


def writing_again(write: Callable[[], None], on_full: Callable[[], bool]) -> None:
    """Write; once more if the disk is full and `on_full` has made room. Raises OSError."""
    try:
        write()
    except OSError as error:
        if not (is_full(error) and on_full()):
            raise
        write()
