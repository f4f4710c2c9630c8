"""CAP messages as the command line makes them: from options alone, or a file's with other wishes."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from broadcast_core import cap
from broadcast_core.model import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Scope,
    Severity,
    Status,
    Urgency,
)

_SENDER: Final = "tocsin-cli@localhost.invalid"


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What an alert without a file says."""

    event: str
    headline: str
    instruction: str | None
    severity: Severity
    language: str
    lifetime: timedelta


def wishes(channels: Sequence[str], pattern: str | None, volume: int | None) -> dict[str, str]:
    """The CAP parameters of these options (docs/protocols/cap.md); what was not said is left to the district."""
    said = {
        "tocsin:channels": ",".join(channels),
        "tocsin:horn-pattern": pattern or "",
        "tocsin:volume": "" if volume is None else str(volume),
    }
    return {name: value for name, value in said.items() if value}


def compose(words: Words, wished: Mapping[str, str], now: datetime) -> bytes:
    """A CAP message of its own, as XML. Its area is what `--area` says."""
    sent = now.replace(microsecond=0)
    info = Info(
        language=words.language,
        category=(Category.SAFETY,),
        event=words.event,
        urgency=Urgency.IMMEDIATE,
        severity=words.severity,
        certainty=Certainty.OBSERVED,
        expires=sent + words.lifetime,
        headline=words.headline,
        instruction=words.instruction,
        parameter=_parameters(wished),
    )
    alert = Alert(
        identifier=f"cli-{sent:%Y%m%d%H%M%S}-{secrets.token_hex(3)}",
        sender=_SENDER,
        sent=sent,
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        infos=(info,),
    )
    return cap.encode_xml(alert)


def is_json(body: bytes) -> bool:
    """Whether a CAP file is JSON; otherwise it is taken for XML."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def with_wishes(body: bytes, wished: Mapping[str, str]) -> bytes:
    """A CAP file with these wishes in place of its own, as XML; untouched if there are none. Raises AlertRejected."""
    if not wished:
        return body
    alert = cap.parse_json(body) if is_json(body) else cap.parse_xml(body).alert
    infos = tuple(
        replace(
            info, parameter=(*(p for p in info.parameter if p.name not in wished), *_parameters(wished))
        )
        for info in alert.infos
    )  # fmt: skip
    return cap.encode_xml(replace(alert, infos=infos))


def _parameters(wished: Mapping[str, str]) -> tuple[NamedValue, ...]:
    return tuple(NamedValue(name=name, value=value) for name, value in wished.items())
