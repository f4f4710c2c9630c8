"""Finished audio on disk, each file under the SHA-256 of its bytes."""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from broadcast_core.errors import StorageFailed
from broadcast_core.model import AudioRef
from broadcast_core.reserve import writing_again

EXTENSIONS: Final = {
    "audio/mpeg": "mp3",
    "audio/wav": "wav",
    "audio/ogg": "ogg",
    "audio/flac": "flac",
    "audio/mp4": "m4a",
}
MIME_TYPES: Final = {extension: mime_type for mime_type, extension in EXTENSIONS.items()}
NAME: Final = re.compile(rf"([0-9a-f]{{64}})\.({'|'.join(MIME_TYPES)})")


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaFile:
    """A file of the store. Its bytes never change: other bytes have another name."""

    sha256: str
    mime_type: str
    size: int
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def reference(self, base_url: str, duration: timedelta) -> AudioRef:
        """How an order names it: fetched from `base_url`/media/…, believed only when its hash fits."""
        return AudioRef(
            sha256=self.sha256,
            url=f"{base_url.rstrip('/')}/media/{self.name}",
            mime_type=self.mime_type,
            size=self.size,
            duration=duration,
        )


class MediaStore:
    """A folder of files named <sha256>.<extension>. Blocking: call it from a thread where a loop must go on."""

    def __init__(self, folder: Path, *, on_full: Callable[[], bool] = lambda: False) -> None:
        """Makes the folder; `on_full` may make room on a full disk. Raises StorageFailed."""
        self._folder = folder
        self._on_full = on_full
        self._finding = threading.Lock()  # between finding a file that is there and saying that it is in use
        self._count = itertools.count()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(f"{folder}: {error}") from error

    def sweep(self) -> None:
        """Remove what a crash left half written. For the one process that writes, at its start."""
        for left in self._folder.glob(".*.part"):
            left.unlink(missing_ok=True)

    def put(self, data: bytes, mime_type: str) -> MediaFile:
        """Store `data`; when it returns, the file is whole and on the disk.

        Putting the same bytes again costs no write, unless the stored ones no longer have their hash: then they are
        replaced. Raises KeyError for a type that is not audio we serve, StorageFailed when the disk refuses.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._folder / f"{digest}.{EXTENSIONS[mime_type]}"
        try:
            if not self._in_use_again(path, data):
                writing_again(partial(self._write, path, data), self._on_full)
        except OSError as error:
            raise StorageFailed(f"{path}: {error}") from error
        return MediaFile(sha256=digest, mime_type=mime_type, size=len(data), path=path)

    def find(self, sha256: str) -> MediaFile | None:
        """The file with that hash, or None."""
        return next((f for e in MIME_TYPES if (f := self.named(f"{sha256}.{e}")) is not None), None)

    def use(self, sha256: str) -> MediaFile | None:
        """As `find`, for what is about to be announced once more: `discard` leaves it alone then."""
        with self._finding:
            file = self.find(sha256)
            if file is not None:
                os.utime(file.path)
            return file

    def discard(self, sha256: str, unused_since: datetime) -> bool:
        """Remove a file that nobody put or used after that instant. Whether there was one. Raises OSError."""
        with self._finding:
            file = self.find(sha256)
            if file is None or file.path.stat().st_mtime >= unused_since.timestamp():
                return False
            file.path.unlink()
            return True

    def named(self, name: str) -> MediaFile | None:
        """The file of that name, or None; a name that is not one of ours reaches no file system."""
        match = NAME.fullmatch(name)
        if match is None:
            return None
        path = self._folder / name
        try:
            found = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return None
        if not stat.S_ISREG(found.st_mode):
            return None
        return MediaFile(sha256=match[1], mime_type=MIME_TYPES[match[2]], size=found.st_size, path=path)

    def remove(self, sha256: str) -> None:
        """Remove the file of that hash; one that is not there is fine. Raises StorageFailed."""
        try:
            with self._finding:
                file = self.find(sha256)
                if file is not None:
                    file.path.unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(f"{sha256}: {error}") from error

    def _in_use_again(self, path: Path, data: bytes) -> bool:
        with self._finding:
            if not _holds(path, data):
                return False
            os.utime(path)
            return True

    def _write(self, path: Path, data: bytes) -> None:
        part = self._folder / f".{path.name}.{os.getpid()}.{next(self._count)}.part"
        try:
            with part.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        _sync_folder(self._folder)


def _holds(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Make the new name durable, not only the bytes."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
