"""What an alert asks for beside its words: CAP parameters named ``tocsin:…`` (docs/protocols/cap.md). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from broadcast_core.config import Policy
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Alert, Channel, SirenPattern

_LOUDEST: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Wishes:
    """Channels, siren pattern, volume and recorded clip."""

    channels: tuple[Channel, ...]
    pattern: SirenPattern | None
    volume: int
    clip: str | None  # SHA-256 of a recording that takes the place of speech


def wishes_of(alert: Alert, policy: Policy, patterns: Mapping[str, SirenPattern]) -> Wishes:
    """The wishes of an alert, over the district's policy. Raises AlertRejected naming the parameter."""
    said = _said(alert)
    channels = _channels(said.get("tocsin:channels"), policy)
    pattern = _pattern(said.get("tocsin:horn-pattern", policy.default_pattern), patterns)
    if pattern is not None and Channel.HORN not in channels and "tocsin:channels" not in said:
        channels = (*channels, Channel.HORN)
    if Channel.HORN in channels and pattern is None:
        raise AlertRejected(
            RejectReason.UNKNOWN_PATTERN,
            _("Horns are asked for without a pattern: add the parameter tocsin:horn-pattern, one of {known}.",
              known=", ".join(p.id for p in patterns.values() if p.enabled)),
            "parameter[tocsin:horn-pattern]",
        )  # fmt: skip
    return Wishes(
        channels=channels,
        pattern=pattern if Channel.HORN in channels else None,
        volume=_volume(said.get("tocsin:volume"), policy),
        clip=said.get("tocsin:clip"),
    )


def _said(alert: Alert) -> dict[str, str]:
    """The parameters of all infos; two infos that contradict each other are refused."""
    said: dict[str, str] = {}
    for index, info in enumerate(alert.infos):
        for parameter in info.parameter:
            if not parameter.name.startswith("tocsin:"):
                continue
            before = said.setdefault(parameter.name, parameter.value)
            if before != parameter.value:
                raise AlertRejected(
                    RejectReason.INVALID_VALUE,
                    _("{name} is said twice with different values: {one} and {other}.",
                      name=parameter.name, one=before, other=parameter.value),
                    f"info[{index}].parameter[{parameter.name}]",
                )  # fmt: skip
    return said


def _channels(text: str | None, policy: Policy) -> tuple[Channel, ...]:
    names = policy.default_channels if text is None else [n.strip() for n in text.split(",") if n.strip()]
    if not names:
        raise AlertRejected(
            RejectReason.UNKNOWN_CHANNEL, _("No channel is left to send on."), "parameter[tocsin:channels]"
        )
    unknown = [n for n in names if n not in set(Channel)]
    if unknown:
        raise AlertRejected(
            RejectReason.UNKNOWN_CHANNEL,
            _("There is no channel {name}; the channels are speaker, horn and sms.", name=unknown[0]),
            "parameter[tocsin:channels]",
        )
    return tuple(dict.fromkeys(Channel(n) for n in names))


def _pattern(name: str | None, patterns: Mapping[str, SirenPattern]) -> SirenPattern | None:
    if name is None:
        return None
    pattern = patterns.get(name)
    if pattern is None or not pattern.enabled:
        raise AlertRejected(
            RejectReason.UNKNOWN_PATTERN,
            _("There is no siren pattern {name}, or no administrator has confirmed it; there are {known}.",
              name=name, known=", ".join(p.id for p in patterns.values() if p.enabled)),
            "parameter[tocsin:horn-pattern]",
        )  # fmt: skip
    return pattern


def _volume(text: str | None, policy: Policy) -> int:
    if text is None:
        return policy.emergency_volume
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= _LOUDEST:
        raise AlertRejected(
            RejectReason.INVALID_VALUE,
            _("The volume is a whole number from 1 to 100, not {value}.", value=text),
            "parameter[tocsin:volume]",
        )
    return int(text)
