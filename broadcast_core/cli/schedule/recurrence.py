"""When a slot happens, as it is typed (`--every work`) and as it is read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final, NoReturn

from broadcast_core.cli.client import bad_input
from broadcast_core.i18n import Sentence, _

Record = dict[str, Any]

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_NAMES: Final = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
_EVERY: Final = "--every"
_SHOWN: Final = 3
_FIXED: Final[Mapping[str, Record]] = {
    "daily": {"rule": "daily"},
    "work": {"rule": "calendar", "kind": "work"},
    "rest": {"rule": "calendar", "kind": "rest"},
    "weekdays": {"rule": "weekly", "days": [0, 1, 2, 3, 4]},
    "weekend": {"rule": "weekly", "days": [5, 6]},
}


def typed(text: str) -> Record:
    """The rule that `--every` says; ends the command over one that is none."""
    word, colon, rest = text.strip().partition(":")
    if not colon:
        return dict(_FIXED[word]) if word in _FIXED else _weekly(text)
    match word:
        case "cron":
            return {"rule": "cron", "expression": rest.strip()}
        case "date":
            return {"rule": "dates", "dates": dates(rest, _EVERY)}
        case "festival":
            return {"rule": "festivals", "names": [name.strip() for name in rest.split(",") if name.strip()]}
        case "yearly":
            return _yearly(rest)
        case _:
            return _unknown(text)


def bounded(
    every: str, *, first: str | None, last: str | None, without: Sequence[str] | None, also: Sequence[str] | None
) -> Record:
    """The whole recurrence: the rule, and the bounds that were said."""
    bounds = {
        "first": None if first is None else one_date(first, "--from"),
        "last": None if last is None else one_date(last, "--until"),
        "without": [day for text in without or () for day in dates(text, "--without")],
        "also": [day for text in also or () for day in dates(text, "--also")],
    }
    return typed(every) | {name: value for name, value in bounds.items() if value}


def dates(text: str, option: str) -> list[str]:
    """Dates with commas between them; ends the command over one that is none."""
    return [one_date(part, option) for part in text.split(",") if part.strip()]


def one_date(text: str, option: str) -> str:
    """A date as the API takes it; ends the command over one that is none."""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        bad_input(_("{value} is no date such as 2026-10-01.", value=text.strip()), option)


def read(recurrence: Mapping[str, Any]) -> list[Sentence]:
    """A recurrence in words: the rule, then what bounds it."""
    found = [_rule(recurrence)]
    for name, sentence in (("first", _FROM), ("last", _UNTIL)):
        if recurrence.get(name):
            found.append(Sentence(sentence.msgid, {"date": recurrence[name]}))
    for name, sentence in (("without", _WITHOUT), ("also", _ALSO)):
        if recurrence.get(name):
            found.append(Sentence(sentence.msgid, {"dates": _some(recurrence[name])}))
    return found


_FROM: Final = _("from {date}")
_UNTIL: Final = _("until {date}")
_WITHOUT: Final = _("not on {dates}")
_ALSO: Final = _("also on {dates}")


def _rule(recurrence: Mapping[str, Any]) -> Sentence:
    every = recurrence.get("every", 1)
    match recurrence["rule"]:
        case "daily":
            return _("every day") if every == 1 else _("every {n} days", n=every)
        case "weekly":
            days = _names(recurrence["days"])
            return days if every == 1 else _("{days}, every {n} weeks", days=days, n=every)
        case "yearly":
            return _("every year on {day}", day=f"{recurrence['month']:02}-{recurrence['day']:02}")
        case "dates":
            return _("on {dates}", dates=_some(recurrence["dates"]))
        case "calendar":
            kind = _("working days") if recurrence["kind"] == "work" else _("days of rest")
            days = recurrence.get("weekdays", list(range(7)))
            return kind if len(days) == 7 else _("{kind}: {days}", kind=kind, days=_names(days))
        case "festivals":
            return _("festivals: {names}", names=", ".join(recurrence["names"]))
        case "cron":
            return _("cron {expression}", expression=recurrence["expression"])
        case other:
            return _("{rule}", rule=other)


def _names(days: Sequence[int]) -> Sentence:
    """Weekdays with their names, as one sentence."""
    places = " ".join(f"{{d{n}}}" for n in range(len(days)))
    return Sentence(places, {f"d{n}": DAY_NAMES[day] for n, day in enumerate(days)})


def _some(values: Sequence[str]) -> str:
    return ", ".join(values[:_SHOWN]) + (f" … ({len(values)})" if len(values) > _SHOWN else "")


def _weekly(text: str) -> Record:
    names = [name.strip().lower()[:3] for name in text.split(",") if name.strip()]
    if not names or not set(names) <= set(_DAYS):
        _unknown(text)
    return {"rule": "weekly", "days": sorted({_DAYS.index(name) for name in names})}


def _yearly(text: str) -> Record:
    found = re.fullmatch(r"\s*(\d{1,2})-(\d{1,2})\s*", text)
    if found is None:
        bad_input(_("{value} is no day of the year such as 11-01.", value=text.strip()), _EVERY)
    return {"rule": "yearly", "month": int(found[1]), "day": int(found[2])}


def _unknown(text: str) -> NoReturn:
    bad_input(
        _("{value} is none of: daily, work, rest, weekdays, weekend, mon,thu, date:2026-10-01, yearly:11-01, "
          "festival:NAME, cron:MINUTE HOUR DAY MONTH WEEKDAY.", value=text),
        _EVERY,
    )  # fmt: skip
