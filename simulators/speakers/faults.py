"""What can be wrong with simulated speakers, and with which of them. Read from TOML, or set while they run.

seed = 7
[[fault]]
kind = "slow"
share = 0.05        # of the fleet, drawn by the seed; or ids = ["SPK-0001"]
seconds = 2.0
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, Literal
from zlib import crc32

import msgspec
from msgspec import Struct, field

from broadcast_core.errors import TocsinError


class MalformedFaults(TocsinError):
    """Not a description of faults."""


class FaultKind(StrEnum):
    OFFLINE = "offline"  # not connected
    SLOW = "slow"  # hears everything `seconds` late
    DEAF = "deaf"  # connected, says hello and alive, hears nothing
    SILENT_AFTER_RECEIVED = "silent-after-received"  # accepts, then neither sounds nor says anything of it
    WRONG_HASH = "wrong-hash"  # what it fetches is corrupted on the way
    DUPLICATE_RECEIPTS = "duplicate-receipts"  # each with `chance` twice
    REORDERED_RECEIPTS = "reordered-receipts"  # each held for up to `seconds`
    LOST_RECEIPTS = "lost-receipts"  # each with `chance`; it remembers them
    CLOCK = "clock"  # `seconds` off, and drifting by `ppm`
    AMPLIFIER = "amplifier"  # dead: it plays and nobody hears it; its own loop shows it in a self-test
    STORAGE = "storage-full"
    REBOOT = "reboot"  # once, `seconds` after its receipt `at`


class Fault(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, and who has it: those named, and a share of all."""

    kind: FaultKind
    ids: frozenset[str] = frozenset()
    share: float = 0.0
    seconds: float = 1.0
    ppm: float = 0.0
    chance: float = 1.0
    at: Literal["received", "started", "finished"] = "started"


class Afflictions(Struct, frozen=True, kw_only=True):
    """Everything that is wrong with one speaker."""

    offline: bool = False
    late_s: float = 0.0
    deaf: bool = False
    hung: bool = False
    corrupts: bool = False
    duplicates: float = 0.0  # a chance
    held_s: float = 0.0
    loses: float = 0.0  # a chance
    skew_ms: int = 0
    drift_ppm: float = 0.0
    amplifier_dead: bool = False
    storage_full: bool = False
    reboot_at: str | None = None
    reboot_after_s: float = 0.0

    @property
    def spoil_receipts(self) -> bool:
        return bool(self.duplicates or self.held_s or self.loses or self.reboot_at)


SOUND: Final = Afflictions()


class Faults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The faults of a fleet. The same seed picks the same speakers."""

    seed: int = 0
    faults: tuple[Fault, ...] = field(default=(), name="fault")

    def of(self, endpoint_id: str) -> Afflictions:
        """What is wrong with this speaker."""
        mine: dict[str, object] = {}
        for number, fault in enumerate(self.faults):
            if endpoint_id in fault.ids or _lot(f"{self.seed}/{number}/{endpoint_id}") < fault.share:
                mine |= _affliction(fault)
        return msgspec.convert(mine, Afflictions) if mine else SOUND

    def plus(self, fault: Fault) -> Faults:
        """These faults and one more."""
        return Faults(seed=self.seed, faults=(*self.faults, fault))


def parse(toml: bytes) -> Faults:
    """Faults from TOML. Raises MalformedFaults."""
    try:
        return msgspec.toml.decode(toml, type=Faults)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedFaults(str(error)) from None


def parse_one(text: str) -> Fault:
    """A fault in one word for the command line: ``slow=5%`` or ``offline=SPK-0001,SPK-0002``, then ``:seconds``."""
    kind, _, rest = text.partition("=")
    who, _, seconds = rest.partition(":")
    try:
        share = float(who.removesuffix("%")) / 100 if who.endswith("%") else 0.0
        ids = frozenset() if who.endswith("%") else frozenset(who.split(","))
        return Fault(kind=FaultKind(kind), ids=ids, share=share, seconds=float(seconds) if seconds else 1.0)
    except ValueError as error:
        raise MalformedFaults(f"{text}: {error}") from None


def _lot(text: str) -> float:
    """A number in [0, 1) that depends only on the text."""
    return crc32(text.encode()) / 2**32


def _affliction(fault: Fault) -> dict[str, object]:
    kind, seconds = fault.kind, fault.seconds
    table: dict[FaultKind, dict[str, object]] = {
        FaultKind.OFFLINE: {"offline": True},
        FaultKind.SLOW: {"late_s": seconds},
        FaultKind.DEAF: {"deaf": True},
        FaultKind.SILENT_AFTER_RECEIVED: {"hung": True},
        FaultKind.WRONG_HASH: {"corrupts": True},
        FaultKind.DUPLICATE_RECEIPTS: {"duplicates": fault.chance},
        FaultKind.REORDERED_RECEIPTS: {"held_s": seconds},
        FaultKind.LOST_RECEIPTS: {"loses": fault.chance},
        FaultKind.CLOCK: {"skew_ms": round(seconds * 1000), "drift_ppm": fault.ppm},
        FaultKind.AMPLIFIER: {"amplifier_dead": True},
        FaultKind.STORAGE: {"storage_full": True},
        FaultKind.REBOOT: {"reboot_at": fault.at, "reboot_after_s": seconds},
    }
    return table[kind]
