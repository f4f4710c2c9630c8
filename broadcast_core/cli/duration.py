"""Durations as people type them."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

import typer

from broadcast_core.i18n import _, terminal_language

_DURATION: Final = re.compile(r"(?=.)(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")


def duration(text: str | timedelta) -> timedelta:
    """``90s``, ``10m``, ``1h30m``. Raises ValueError."""
    if isinstance(text, timedelta):  # the option's default
        return text
    found = _DURATION.fullmatch(text)
    hours, minutes, seconds = (int(part or 0) for part in found.groups()) if found is not None else (0, 0, 0)
    if not hours + minutes + seconds:
        raise ValueError(f"{text!r} is not a duration such as 90s, 10m or 2h")
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def option(text: str | timedelta) -> timedelta:
    """The same as an option's parser: a wrong one is a sentence."""
    try:
        return duration(text)
    except ValueError:
        raise typer.BadParameter(
            _("{value} is no duration such as 90s, 10m or 2h.", value=text).say(terminal_language())
        ) from None


def spoken(seconds: float) -> str:
    """As it is typed: 5400 is 1h30m."""
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{n}{unit}" for n, unit in parts if n) or "0s"
