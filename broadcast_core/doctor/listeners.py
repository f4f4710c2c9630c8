"""Which process listens on a port of this machine, and how many files it may open: from Linux's /proc.

Only root and the process's own user may see it; everybody else gets None, as on systems without /proc.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_TABLES: Final = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTENING: Final = "0A"
_OPEN_FILES: Final = "Max open files"


@dataclass(frozen=True, kw_only=True, slots=True)
class Owner:
    """A process that listens. `open_files` is its soft limit (RLIMIT_NOFILE)."""

    pid: int
    name: str
    open_files: int | None


def owner_of(port: int) -> Owner | None:
    """Who listens on this TCP port; None if nobody does, or if we may not see it."""
    inodes = {inode for table in _TABLES for inode in _inodes(table, port)}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    if not sockets:
        return None
    for process in _PROC.iterdir():
        if process.name.isdigit() and _holds(process, sockets):
            return _owner(process)
    return None


def _inodes(table: Path, port: int) -> list[str]:
    try:
        lines = table.read_text().splitlines()[1:]
    except OSError:
        return []
    rows = [line.split() for line in lines]
    return [row[9] for row in rows if row[3] == _LISTENING and int(row[1].rsplit(":", 1)[1], 16) == port]


def _holds(process: Path, sockets: set[str]) -> bool:
    try:
        return any(str(file.readlink()) in sockets for file in (process / "fd").iterdir())
    except OSError:  # it has ended, or is not ours to see
        return False


def _owner(process: Path) -> Owner | None:
    try:
        name = (process / "comm").read_text().strip()
        limits = (process / "limits").read_text().splitlines()
    except OSError:
        return None
    soft = next((line.split()[3] for line in limits if line.startswith(_OPEN_FILES)), "")
    return Owner(pid=int(process.name), name=name, open_files=int(soft) if soft.isdigit() else None)
