"""Why something scheduled does not sound: one closed list, also the report's and the metric's label."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from broadcast_core.i18n import Sentence, _


class Held(StrEnum):
    QUIET_HOURS = "quiet_hours"
    EMERGENCY_MODE = "emergency_mode"
    OUTRANKED = "outranked"  # something else has the zone
    LATE = "late"  # its turn came after its grace time, and its rule is to skip
    NO_REPEAT = "no_repeat"  # the same item sounds within the window
    BUDGET = "budget"  # the community's nuisance budget of the day is used up
    ITEM_EXPIRED = "item_expired"
    PLAYLIST_EMPTY = "playlist_empty"  # nothing in it may play on that day
    TOO_LONG = "too_long"  # does not fit into the slot any more
    TOO_MANY = "too_many"  # comes after the last clip that one occurrence can have
    INTERRUPTED = "interrupted"  # its rule after the interruption was to skip, or to join what the clock says


_SENTENCES: Final = {
    Held.QUIET_HOURS: _("Quiet hours."),
    Held.EMERGENCY_MODE: _("The zone is in emergency mode."),
    Held.OUTRANKED: _("Another programme has the zone."),
    Held.LATE: _("Its turn came too late, and then it is skipped."),
    Held.NO_REPEAT: _("The same item sounds within the no-repeat window."),
    Held.BUDGET: _("The day's nuisance budget of this community is used up."),
    Held.ITEM_EXPIRED: _("The item has expired."),
    Held.PLAYLIST_EMPTY: _("Nothing in the playlist may play on this day."),
    Held.TOO_LONG: _("It does not fit into the slot."),
    Held.TOO_MANY: _("An occurrence has at most 200 items, and silence after them: divide the slot."),
    Held.INTERRUPTED: _("It was interrupted, and its rule is not to go on."),
}


def sentence(held: Held) -> Sentence:
    """The reason as a person reads it."""
    return _SENTENCES[held]
