"""An alert to `Words`, language by language."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from broadcast_core.model import Alert, Info, Level, MsgType, ResponseType, Status
from broadcast_core.render.flow import flowed
from broadcast_core.render.kinds import GENERIC, Kind, kind_of
from broadcast_core.render.phrases import Phrases, phrases_of, primary
from broadcast_core.render.spoken import read_aloud

Form = Literal["speech", "text", "sms"]
_FORMS: Final[tuple[Form, ...]] = ("speech", "text", "sms")

# What CAP calls an info that names no language. Feeds that forget the element send Chinese under it.
_CAP_DEFAULT: Final = "en-US"
_SENTENCE_ENDS: Final = tuple("。！？；：….!?;:")


class Stage(StrEnum):
    """Where in its life an alert is; the key of `stages` in phrases.toml."""

    ALERT = "alert"
    UPDATE = "update"
    ALL_CLEAR = "all_clear"
    CANCEL = "cancel"


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """One language of an alert in words.

    `speech` is for the voice (signs written out), `text` for displays (one paragraph a line), `sms` for phones
    (signed; never cut: who sends it counts the parts).
    """

    language: str
    speech: str
    text: str
    sms: str


def render(
    alert: Alert, *, level: Level = Level.UNKNOWN, signatures: Mapping[str, str] | None = None
) -> tuple[Words, ...]:
    """The words of every language of `alert`, in the order in which the languages first appear.

    Infos of one language become one text; what they share is said once. A supplied headline, description and
    instruction are used in full (the SMS leaves the description out where there is a headline or an instruction);
    only where there is no instruction the template's advice stands in, and where there is no headline its name of
    the event. `level` is the alert's colour; `signatures` (by `zh`, `en`) replace the shipped ones of the SMS.
    Anything but an Actual alert is marked first and last, whatever a template says. Raises
    AlertRejected(UNKNOWN_TEMPLATE) when `tocsin:event` names a kind that we do not have.
    """
    groups: dict[str, list[tuple[Info, Kind]]] = {}
    for index, info in enumerate(alert.infos):
        groups.setdefault(language_of(info).casefold(), []).append((info, kind_of(info, f"info[{index}]")))
    return tuple(_words(alert, infos, level, signatures or {}) for infos in groups.values())


def language_of(info: Info) -> str:
    """The language of an info; one written in Chinese signs under CAP's default (no language given) is Chinese."""
    if info.language == _CAP_DEFAULT:
        supplied = (info.event, info.headline, info.description, info.instruction)
        letters = [c for text in supplied for c in text or "" if c.isalpha()]
        if 2 * sum("\u4e00" <= c <= "\u9fff" for c in letters) > len(letters):
            return "zh"
    return info.language


def _words(alert: Alert, infos: Sequence[tuple[Info, Kind]], level: Level, signatures: Mapping[str, str]) -> Words:
    language = language_of(infos[0][0])
    phrases = phrases_of(language)
    lines = {form: _marked(_merged(alert, infos, level, phrases, form), alert.status, phrases) for form in _FORMS}
    signature = signatures.get(phrases.language, phrases.signature)
    return Words(
        language=language,
        speech=read_aloud(_sentences(lines["speech"], phrases), primary(language)),
        text="\n".join(lines["text"]),
        sms=(phrases.sms_prefix.format(signature=signature) if signature else "") + _sentences(lines["sms"], phrases),
    )


def _merged(
    alert: Alert, infos: Iterable[tuple[Info, Kind]], level: Level, phrases: Phrases, form: Form
) -> list[str]:
    """The lines of all infos in order; what an earlier info has said is not said again."""
    merged: list[str] = []
    for info, kind in infos:
        lines = _lines(_values(alert, info, kind, level, phrases), kind, phrases, form)
        merged += [line for line in lines if line not in merged]
    return merged


def _lines(values: Mapping[str, object], kind: Kind, phrases: Phrases, form: Form) -> list[str]:
    folder = phrases.language
    template = _environment().select_template([f"{folder}/{kind.name}.j2", f"{folder}/{GENERIC}.j2"])
    return [line.strip() for line in template.render(values, form=form).split("\n") if line.strip()]


def _values(alert: Alert, info: Info, kind: Kind, level: Level, phrases: Phrases) -> dict[str, object]:
    """What a template may use; docs/voice.md lists it."""
    stage = _stage(alert, info)
    ended = stage in (Stage.ALL_CLEAR, Stage.CANCEL)
    headline, description, event = flowed(info.headline), flowed(info.description), flowed(info.event)
    own_title = headline or ("" if kind.bare else event)
    colour = "" if ended else phrases.colours.get(level.name, "")
    unsaid = bool(colour and own_title) and colour.casefold() not in own_title.casefold()
    sender = flowed(info.sender_name)
    return {
        "event": event,
        "plain_event": "" if kind.bare else event,
        "headline": headline,
        "description": description,
        "instruction": flowed(info.instruction),
        "sender": "" if sender in headline + description else sender,
        "response": next((phrases.responses[r] for r in info.response_type if r in phrases.responses), ""),
        "stage": phrases.stages[stage],
        "ended": ended,
        "colour": colour,
        "numeral": phrases.numerals.get(level.name, ""),
        "colour_note": phrases.colour_note.format(colour=colour) if unsaid else "",
    }


def _stage(alert: Alert, info: Info) -> Stage:
    if alert.msg_type is MsgType.CANCEL:
        return Stage.CANCEL
    if ResponseType.ALL_CLEAR in info.response_type:
        return Stage.ALL_CLEAR
    return Stage.UPDATE if alert.msg_type is MsgType.UPDATE else Stage.ALERT


def _marked(lines: list[str], status: Status, phrases: Phrases) -> list[str]:
    """`lines` between two marks, unless the alert is an actual one. Done here so that no template can forget it."""
    if status is Status.ACTUAL:
        return lines
    mark = phrases.marks[status]
    return [mark, *lines, mark]


def _sentences(lines: Iterable[str], phrases: Phrases) -> str:
    """The lines as running text; one without an end of its own gets the language's full stop."""
    return phrases.joiner.join(x if x.endswith(_SENTENCE_ENDS) else x + phrases.full_stop for x in lines)


@cache
def _environment() -> Environment:
    # Plain text for voices, displays and phones: escaping for HTML would be said aloud as "amp".
    loader = PackageLoader("templates", "message")
    return Environment(loader=loader, undefined=StrictUndefined, autoescape=False)  # noqa: S701
