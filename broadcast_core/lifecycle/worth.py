"""How long an alert lasts and what it is worth against others."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, TypeVar

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import Alert, Authority, Info, Level, Severity, SoundClass, Standing
from broadcast_core.precedence import weight

# No warning is meant for longer. Senders write 2099 or 9999 for "until further notice", and what is computed from
# such an end (of a stop, of a message in the broker) is beyond what clocks and wires can count.
LONGEST_LIFETIME: Final = timedelta(days=31)

LEVEL_PARAMETER: Final = "tocsin:level"
CLASS_PARAMETER: Final = "tocsin:class"

_LEVEL_OF: Final = {
    Severity.EXTREME: Level.RED,
    Severity.SEVERE: Level.ORANGE,
    Severity.MODERATE: Level.YELLOW,
    Severity.MINOR: Level.BLUE,
    Severity.UNKNOWN: Level.UNKNOWN,
}
_LEVELS: Final = {str(int(level)): level for level in (Level.RED, Level.ORANGE, Level.YELLOW, Level.BLUE)}
_CLASSES: Final = {"emergency": SoundClass.EMERGENCY, "air-raid": SoundClass.AIR_RAID}

T = TypeVar("T")


def expires_of(alert: Alert, now: datetime, default_lifetime: timedelta) -> datetime:
    """When the last info is over, at most `LONGEST_LIFETIME` from `now`.

    An info without `expires` lasts `default_lifetime` from its `effective`, else from `sent` (from `now` where the
    sender's clock is ahead): what a cache replays hours later has expired, it does not start anew.
    """
    sent, latest = min(alert.sent, now), now + LONGEST_LIFETIME
    ends = [info.expires or min(max(sent, info.effective or sent), latest) + default_lifetime for info in alert.infos]
    return min(max(ends, default=sent + default_lifetime), latest)


def notes_of_lifetime(alert: Alert, now: datetime) -> tuple[Sentence, ...]:
    """What a sender should know of how long the alert lasts here."""
    if all(info.expires is None or info.expires <= now + LONGEST_LIFETIME for info in alert.infos):
        return ()
    days = LONGEST_LIFETIME.days
    return (_("It ends after {days} days, before its expires: nothing is live for longer.", days=days),)


def standing_of(
    alert: Alert, authority_by_sender: Mapping[str, Authority], default: Authority = Authority.DISTRICT
) -> Standing:
    """What the alert is worth against others: the weightiest of its infos.

    Level follows severity unless the info says `tocsin:level` (1 to 4); class is emergency unless it says
    `tocsin:class`. A sender that nobody ranked acts with the `default` authority. Raises AlertRejected for a
    parameter that means nothing, and for an alert without info.
    """
    authority = authority_by_sender.get(alert.sender, default)
    standings = [_standing(info, f"info[{i}]", authority) for i, info in enumerate(alert.infos)]
    if not standings:
        raise without_info()
    return max(standings, key=weight)


def without_info() -> AlertRejected:
    """The refusal of a message that has nothing to say."""
    return AlertRejected(RejectReason.MISSING, _("There is no info; say what happened and what to do."), "info")


def _standing(info: Info, where: str, authority: Authority) -> Standing:
    return Standing(
        sound_class=_said(info, where, CLASS_PARAMETER, _CLASSES, SoundClass.EMERGENCY),
        authority=authority,
        level=_said(info, where, LEVEL_PARAMETER, _LEVELS, _LEVEL_OF[info.severity]),
        urgency=info.urgency,
        certainty=info.certainty,
    )


def _said(info: Info, where: str, name: str, meanings: Mapping[str, T], unsaid: T) -> T:
    """What the parameter `name` means, or `unsaid` where there is none."""
    said = [(i, parameter.value.strip()) for i, parameter in enumerate(info.parameter) if parameter.name == name]
    if not said:
        return unsaid
    index, value = said[-1]
    if len(said) > 1:
        sentence = _("{element} stands here more than once; keep one.", element=name)
        raise AlertRejected(RejectReason.DUPLICATE_ELEMENT, sentence, f"{where}.parameter[{index}]")
    if value not in meanings:
        sentence = _("{value} is not allowed here; use one of {allowed}.", value=value, allowed=", ".join(meanings))
        raise AlertRejected(RejectReason.INVALID_VALUE, sentence, f"{where}.parameter[{index}].value")
    return meanings[value]
