"""Lunar festivals and solar terms: named in `festivals.toml`, computed by borax for 1900 to 2099."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib import resources
from typing import Final

from borax.calendars.lunardate import InvalidLunarDateError, LCalendars, LunarDate, TermUtils

FIRST_YEAR: Final = 1901
LAST_YEAR: Final = 2099


@dataclass(frozen=True, kw_only=True, slots=True)
class Festival:
    """One row of the table: a lunar month and day (-1 is the month's last), or a solar term."""

    id: str
    zh: str
    en: str
    month: int = 0
    day: int = 0
    term: str = ""


@cache
def festivals() -> dict[str, Festival]:
    """The table, by id."""
    text = resources.files("scheduler").joinpath("festivals.toml").read_text(encoding="utf-8")
    return {id_: Festival(id=id_, **row) for id_, row in tomllib.loads(text).items()}


@cache
def dates_in(festival_id: str, year: int) -> tuple[date, ...]:
    """The festival's dates within a Gregorian year, none outside 1901 to 2099.

    Mostly one; a festival of the twelfth month may fall into a Gregorian year twice or not at all.
    """
    festival = festivals()[festival_id]
    if not FIRST_YEAR <= year <= LAST_YEAR:
        return ()
    if festival.term:
        when: date = TermUtils.day_start_from_term(year, festival.term)
        return (when,)
    return tuple(
        solar for lunar in (year - 1, year) if (solar := _solar(lunar, festival)) is not None and solar.year == year
    )


def _solar(lunar_year: int, festival: Festival) -> date | None:
    try:
        day = LCalendars.ndays(lunar_year, festival.month) if festival.day == -1 else festival.day
        solar: date = LunarDate(lunar_year, festival.month, day).to_solar_date()
    except InvalidLunarDateError:  # the thirtieth of a month of twenty-nine days
        return None
    return solar
