"""What has to be durable and secret: the data directory, the disk under it, the database, the keys."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from broadcast_core.doctor.finding import Finding, fail, ok, skipped, warn
from broadcast_core.doctor.scene import Scene
from broadcast_core.i18n import Sentence, _
from broadcast_core.keys import InsecureSecret, read_secret
from broadcast_core.model import Channel, Domain
from broadcast_core.signing import KeyScope

_MB: Final = 1_000_000
_SCARCE_MB: Final = 2_000  # a year of receipts and audio fits into this
_TOO_LITTLE_MB: Final = 200
_WRITES: Final = 20
_SLOW_MS: Final = 20.0  # an alert is some ten commits one after the other
_HOPELESS_MS: Final = 250.0
_MEMORY: Final = frozenset({"tmpfs", "ramfs"})


async def space(scene: Scene) -> Finding:
    """Whether the data directory can be written, has room, and is a disk."""
    return await asyncio.to_thread(_space, scene.settings.data_dir.absolute(), scene.settings.space.reserve_mb)


async def fsync(scene: Scene) -> Finding:
    """How long the disk takes to make something durable: every accepted alert waits for it."""
    place = _existing(scene.settings.data_dir.absolute())
    try:
        took_ms = await asyncio.to_thread(_fsync_ms, place)
    except OSError as error:
        return skipped(_("{path} cannot be written: {why}.", path=place, why=error.strerror))
    says = _("A durable write takes {ms} ms.", ms=f"{took_ms:.1f}")
    faster = _("Put data_dir on a disk of its own, best one with a write cache that survives power loss.")
    if took_ms > _HOPELESS_MS:
        return fail(says, faster)
    return warn(says, faster) if took_ms > _SLOW_MS else ok(says)


async def database(scene: Scene) -> Finding:
    """Whether the database can be read, and what the registry in it has."""
    if scene.registry_failure is not None:
        return fail(
            _("The database cannot be read: {why}.", why=scene.registry_failure),
            _("Start the core once: it brings its tables up to date. If it does not start, its log says why."),
        )
    registry = scene.registry
    if registry is None:
        return skipped(_("There is no database yet; the first start makes it."))
    if not registry.endpoints:
        return warn(_("The registry is empty."), _("Import it: tocsin registry import FILE, or --default to try."))
    counts = [registry.count(channel=channel) for channel in (Channel.SPEAKER, Channel.HORN, Channel.SMS)]
    says = _("{speakers} speakers, {horns} horns, {phones} phones.",
             speakers=counts[0], horns=counts[1], phones=counts[2])  # fmt: skip
    simulated = sum(endpoint.simulated for endpoint in registry.endpoints.values())
    if simulated:
        note = _("{count} of them are simulated and never count as proof.", count=simulated)
        return ok(says, note)
    return ok(says)


async def secrets(scene: Scene) -> Finding:
    """Whether every secret is there, sound, and readable by nobody else."""
    directory = scene.settings.secrets_dir
    if not directory.is_dir():
        return skipped(_("There are no keys in {path} yet; the first start makes them.", path=directory))
    wrong = [sentence for path in _expected(scene) if (sentence := _fault(path)) is not None]
    if directory.stat().st_mode & 0o077:
        wrong.append(_("{path} can be entered by others: chmod 700 {path}", path=directory))
    if wrong:
        return fail(_("{count} secrets are not in order.", count=len(wrong)), None, *wrong)
    return ok(_("All keys and passwords are there, mode 0600."))


def _space(directory: Path, reserve_mb: int) -> Finding:
    place = _existing(directory)
    if not os.access(place, os.W_OK | os.X_OK):
        return fail(
            _("{path} cannot be written by this user.", path=place),
            _("Give it to the core's user: chown, or set data_dir."),
        )
    free_mb = shutil.disk_usage(place).free // _MB
    says = _("{path}: {free} MB free.", path=directory, free=free_mb)
    room = _("Make room, or move data_dir: what cannot be stored is refused.")
    if free_mb < _TOO_LITTLE_MB:
        return fail(says, room)
    if free_mb < reserve_mb:
        reserved = _("{reserve} MB are kept for alerts: anything else is refused.", reserve=reserve_mb)
        return fail(says, room, reserved)
    if free_mb < _SCARCE_MB:
        return warn(says, room)
    if _file_system(place) in _MEMORY:
        return warn(
            _("{path} is in memory: an accepted alert does not survive power loss.", path=directory),
            _("Set data_dir to a directory on a disk."),
        )
    return ok(says)


def _existing(path: Path) -> Path:
    return next(place for place in (path, *path.parents) if place.exists())


def _file_system(path: Path) -> str | None:
    """The type of the file system that holds `path`, where the kernel tells."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    held_by: tuple[int, str | None] = (-1, None)
    for line in lines:
        left, _sign, right = line.partition(" - ")
        mount = Path(left.split()[4])
        if path.resolve().is_relative_to(mount) and len(mount.parts) >= held_by[0]:
            held_by = (len(mount.parts), right.split()[0])
    return held_by[1]


def _fsync_ms(place: Path) -> float:
    """Median milliseconds of appending a database page and waiting until it is durable."""
    took: list[float] = []
    with tempfile.TemporaryFile(dir=place) as file:
        for _number in range(_WRITES):
            before = time.monotonic()
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.monotonic() - before)
    return statistics.median(took) * 1000


def _expected(scene: Scene) -> Iterator[Path]:
    settings = scene.settings
    yield from (settings.secrets_dir / f"sign-{Domain.LIVE}-{scope}.pem" for scope in KeyScope)
    yield settings.secrets_dir / "api-token"
    if settings.sms.enabled:
        yield settings.secrets_dir / "sms-reports"
    yield from (path for path in (settings.mqtt.password_file, settings.sms.password_file) if path is not None)


def _fault(path: Path) -> Sentence | None:
    """What is wrong with a secret's file; nothing of its content is said."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return _("{path} is not a file.", path=path)
        content = read_secret(path)
        if path.suffix == ".pem":
            serialization.load_pem_private_key(content, password=None)
    except FileNotFoundError:
        # Taking the first token's file away after other tokens were made is good practice.
        return None if path.name == "api-token" else _("{path} is missing: restore it from the backup.", path=path)
    except PermissionError:
        return _("{path} cannot be read by this user: run the doctor as the core's user.", path=path)
    except InsecureSecret:
        return _("{path} can be read by others: chmod 600 {path}, and replace the secret", path=path)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return _("{path} is not a key: restore it from the backup.", path=path)
    return None if content.strip() else _("{path} is empty.", path=path)
