"""What the demo says: a rainstorm, in Chinese and in English, and that it is a demonstration."""

from __future__ import annotations

from datetime import datetime, timedelta

from broadcast_core.model import (
    Alert,
    Area,
    Category,
    Certainty,
    Info,
    MsgType,
    NamedValue,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

_LIFETIME = timedelta(minutes=10)


def demo_alert(now: datetime, district: str, district_name: str, *, horns: bool) -> Alert:
    """A CAP message for the whole district, every channel, with the demo's own short siren pattern."""
    channels = "speaker,sms,horn" if horns else "speaker,sms"
    parameter = [NamedValue(name="tocsin:channels", value=channels)]
    if horns:
        parameter.append(NamedValue(name="tocsin:horn-pattern", value="demo-short"))
    area = Area(area_desc=district_name, geocodes=(NamedValue(name="tocsin:zone", value=district),))

    def info(language: str, event: str, headline: str, instruction: str) -> Info:
        return Info(
            language=language,
            category=(Category.MET,),
            event=event,
            response_type=(ResponseType.AVOID,),
            urgency=Urgency.IMMEDIATE,
            severity=Severity.SEVERE,
            certainty=Certainty.OBSERVED,
            expires=now + _LIFETIME,
            headline=headline,
            instruction=instruction,
            parameter=tuple(parameter),
            area=(area,),
        )

    return Alert(
        identifier=f"demo-{now:%Y%m%d%H%M%S}",
        sender="demo@tocsin.invalid",
        sent=now,
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        note="Tocsin demonstration: every endpoint is simulated.",
        infos=(
            info("zh-CN", "暴雨", "软件演示：天心区暴雨橙色预警", "请远离低洼地带。"),
            info("en-US", "Rainstorm", "Software demonstration: rainstorm", "Keep away from low ground."),
        ),
    )
