"""What an order is worth, and which world it belongs to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum

from broadcast_core.model.alert import Certainty, Urgency


class Domain(StrEnum):
    """Separate keys and topic trees: one can never be taken for another."""

    LIVE = "live"
    DRILL = "drill"
    SIMULATION = "simulation"


class SoundClass(IntEnum):
    """Class of what sounds; the larger pre-empts (domain rule 1 of precedence)."""

    PUBLICITY = 10
    TEST = 20
    DRILL = 30
    LIVE_MICROPHONE = 40
    EMERGENCY = 50
    AIR_RAID = 60


class Authority(IntEnum):
    """上级优先于下级: the larger pre-empts within a class."""

    SUBDISTRICT = 10
    DISTRICT = 20
    CITY = 30
    PROVINCE = 40
    NATIONAL = 50


class Level(IntEnum):
    """Colour of a warning. 1 is the most severe; 0 is unknown and sorts last; 15 is test."""

    UNKNOWN = 0
    RED = 1
    ORANGE = 2
    YELLOW = 3
    BLUE = 4
    TEST = 15


class ResumeRule(StrEnum):
    """What an interrupted item does when the interruption is over."""

    POSITION = "position"
    START = "start"
    SKIP = "skip"
    LIVE = "live"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """What an order is worth against others; `precedence` compares these."""

    sound_class: SoundClass
    authority: Authority
    level: Level
    urgency: Urgency
    certainty: Certainty
