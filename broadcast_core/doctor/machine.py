"""The machine: open files, clock, Python and the libraries."""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sqlite3
import ssl
from datetime import UTC, datetime, timedelta
from importlib import metadata
from typing import Final
from zoneinfo import ZoneInfoNotFoundError

from broadcast_core.doctor.finding import Finding, fail, ok, skipped, warn
from broadcast_core.doctor.listeners import owner_of
from broadcast_core.doctor.scene import Scene
from broadcast_core.i18n import _
from broadcast_core.web import Limits

_OWN_FILES: Final = 100  # database, logs, pipes to children
_TOLERATED: Final = timedelta(seconds=2)
_NOT_BEFORE: Final = datetime(2025, 1, 1, tzinfo=UTC)  # a board whose battery is dead wakes up long before
_ADJTIMEX_BYTES: Final = 512  # more than `struct timex` takes on any Linux
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronised
_OLDEST_SQLITE: Final = (3, 24, 0)  # ON CONFLICT DO UPDATE
_NAMED: Final = ("aiohttp", "aiomqtt", "iotcore", "pymodbus", "pyserial", "SQLAlchemy", "msgspec", "cryptography")
_NEEDED: Final = (*_NAMED, "aiosqlite", "alembic", "jinja2", "pydub", "av", "lxml", "shapely", "numpy")


async def descriptors(scene: Scene) -> Finding:
    """Whether a socket for each speaker and each console may be open: of the running core, else of this shell."""
    needed = scene.speakers + Limits().connections + _OWN_FILES
    owner = owner_of(scene.settings.api.port) if scene.core is not None else None
    _soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = owner.open_files if owner is not None and owner.open_files is not None else most
    if found != resource.RLIM_INFINITY and found < needed:
        return fail(
            _("{found} files may be open; {needed} are needed with {speakers} speakers.",
              found=found, needed=needed, speakers=scene.speakers),
            _("LimitNOFILE=65536 in the core's systemd unit, or ulimit -n 65536 before it is started."),
        )  # fmt: skip
    if owner is not None:
        return ok(
            _("{found} files may be open in the running core; {needed} are needed.", found=found, needed=needed)
        )
    return ok(_("{found} files may be open here; {needed} are needed.", found=found, needed=needed))


async def clock(scene: Scene) -> Finding:
    """Whether the time is kept, and the same as the core's. Devices follow it; alerts expire by it."""
    try:
        zone = scene.settings.zone_info
    except (ZoneInfoNotFoundError, ValueError):
        return fail(
            _("There is no time zone {name}.", name=scene.settings.timezone), _("Correct the setting timezone.")
        )
    now = scene.clock.now()
    local = f"{now.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"
    set_clock = _("Run chrony or systemd-timesyncd with a server that works without the internet.")
    if now < _NOT_BEFORE:
        return fail(_("The clock says {time}; it cannot be so early.", time=local), set_clock)
    ahead = scene.core.ahead if scene.core is not None else timedelta()
    if abs(ahead) > _TOLERATED:
        seconds = f"{ahead.total_seconds():+.0f}"
        return fail(_("The core's clock differs from this one by {seconds} s.", seconds=seconds), set_clock)
    synchronised = _synchronised()
    if synchronised is None:
        return skipped(_("{time}; this system does not tell whether the clock is kept.", time=local))
    if not synchronised:
        return warn(_("{time}; nobody keeps this clock right.", time=local), set_clock)
    return ok(_("{time}; kept by NTP.", time=local))


async def versions(_scene: Scene) -> Finding:
    """Whether Python, SQLite and every library are there."""
    missing = [name for name in _NEEDED if _version(name) is None]
    if missing:
        return fail(_("Not installed: {names}.", names=", ".join(missing)), _("Install the project again."))
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        return fail(_("SQLite {version} is too old.", version=sqlite3.sqlite_version))
    parts = [f"Python {platform.python_version()}", f"SQLite {sqlite3.sqlite_version}"]
    parts.append(" ".join(ssl.OPENSSL_VERSION.split()[:2]))
    parts += [f"{name} {_version(name)}" for name in _NAMED]
    return ok(_("tocsin {version} on {parts}.", version=_version("tocsin"), parts=", ".join(parts)))


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _synchronised() -> bool | None:
    """What the kernel says of its clock; None where it cannot be asked."""
    library = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    ask = getattr(library, "adjtimex", None)
    if ask is None:
        return None
    state = ask(ctypes.create_string_buffer(_ADJTIMEX_BYTES))  # modes = 0: only reads
    return None if state < 0 else bool(state != _TIME_ERROR)
