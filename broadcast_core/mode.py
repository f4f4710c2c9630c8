"""Peacetime or emergency, for each zone of the tree: a zone without a mode of its own has its parent's. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from broadcast_core.model import Mode
from broadcast_core.registry import Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class ModeSetting:
    """The mode that a zone has of its own; who set it, when and why.

    `remind_at` is when somebody is to be asked whether it still has its reason; `cause` the alert that switched it.
    """

    zone: str
    mode: Mode
    reason: str
    actor: str
    set_at: datetime
    remind_at: datetime | None = None
    cause: str | None = None

    def overdue(self, now: datetime) -> bool:
        """Whether an emergency has outlived its reason."""
        return self.mode is Mode.EMERGENCY and self.remind_at is not None and self.remind_at <= now


class Modes:
    """All settings at one moment. Zones that are not in the registry (any more) count for nothing."""

    def __init__(self, settings: Mapping[str, ModeSetting] | None = None) -> None:
        self.settings: Mapping[str, ModeSetting] = dict(settings or {})

    def of(self, zone: str, registry: Registry) -> Mode:
        """The effective mode of a zone; peacetime where nothing says otherwise."""
        setting = self.setting_for(zone, registry)
        return Mode.PEACETIME if setting is None else setting.mode

    def setting_for(self, zone: str, registry: Registry) -> ModeSetting | None:
        """The setting that decides a zone's mode: its own, or that of the nearest zone above it."""
        if not self.settings or zone not in registry.zones:
            return None
        for code in (zone, *(above.code for above in registry.ancestors(zone))):
            if code in self.settings:
                return self.settings[code]
        return None

    def with_setting(self, setting: ModeSetting) -> Modes:
        return Modes({**self.settings, setting.zone: setting})

    def without(self, zone: str) -> Modes:
        """The zone has its parent's mode again."""
        return Modes({code: s for code, s in self.settings.items() if code != zone})

    def overdue(self, now: datetime) -> Iterator[ModeSetting]:
        """The emergencies that have outlived their reason."""
        return (setting for setting in self.settings.values() if setting.overdue(now))


def switched(before: Modes, after: Modes, registry: Registry) -> dict[str, Mode]:
    """The zones whose effective mode differs, with the new one; each zone speaks for its own endpoints only."""
    old, new = effective(before, registry), effective(after, registry)
    return {code: mode for code, mode in new.items() if mode is not old[code]}


def effective(modes: Modes, registry: Registry) -> dict[str, Mode]:
    """The effective mode of every zone, parents before children."""
    found: dict[str, Mode] = {}
    for code, zone in registry.zones.items():  # in the order of a walk down the tree
        own = modes.settings.get(code)
        if own is not None:
            found[code] = own.mode
        else:
            found[code] = Mode.PEACETIME if zone.parent is None else found[zone.parent]
    return found
