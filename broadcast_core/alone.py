"""One core for one data directory: a second one would number its commands anew and send everything twice."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from broadcast_core.errors import TocsinError
from broadcast_core.i18n import _, terminal_language


class AlreadyRunning(TocsinError):
    """Another core has this data directory."""


@contextmanager
def alone_on(data_dir: Path) -> Iterator[None]:
    """Hold the directory's lock; the kernel lets go of it however this process ends. Raises AlreadyRunning."""
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                _("another core already runs on {place}.", place=data_dir).say(terminal_language())
            ) from None
        yield
    finally:
        os.close(descriptor)
