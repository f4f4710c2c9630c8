"""One signal as an alert: class air-raid, the horns' pattern, and words that say what it is. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from broadcast_core.model import (
    Alert,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    Scope,
    Severity,
    SirenPattern,
    Status,
    Urgency,
)
from broadcast_core.siren.templates import Act, Signal

SLACK: Final = timedelta(seconds=60)  # late means never: nobody hears a signal minutes after the others
_GENERIC: Final = "generic"  # no advice of our own: for each signal the template has the right one
_BLUE, _RED = "4", "1"


def identifier(act_id: str, number: int) -> str:
    """The signal's identifier: derived, so that the same signal is never two alerts."""
    return f"siren-{act_id.replace(':', '-')}-{number + 1}"


def signal_alert(
    act: Act, signal: Signal, pattern: SirenPattern, *, act_id: str, number: int, sender: str, sent: datetime
) -> Alert:
    """The alert of a signal, without its area. The yearly test has the lowest level: it switches no zone's mode."""
    said = {
        "tocsin:channels": ",".join(act.channels),
        "tocsin:horn-pattern": signal.pattern,
        "tocsin:class": "air-raid",
        "tocsin:level": _BLUE if act.test else _RED,
        "tocsin:event": _GENERIC,
    }

    def info(language: str, name: str, headline: str, instruction: str) -> Info:
        return Info(
            language=language,
            category=(Category.SECURITY,),
            event=name,
            urgency=Urgency.IMMEDIATE,
            severity=Severity.MINOR if act.test else Severity.EXTREME,
            certainty=Certainty.OBSERVED,
            expires=sent + pattern.total + SLACK,
            headline=headline,
            instruction=instruction,
            parameter=tuple(NamedValue(name=n, value=v) for n, v in said.items()),
        )

    return Alert(
        identifier=identifier(act_id, number),
        sender=sender,
        sent=sent,
        status=Status.ACTUAL,  # it sounds for real; drills have a domain of their own
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        incidents=(act_id,),
        infos=(
            info("zh-CN", act.name_zh, signal.headline_zh, signal.instruction_zh),
            info("en-US", act.name_en, signal.headline_en, signal.instruction_en),
        ),
    )
