"""The tables beside the templates: phrases of each language, kinds of events, and how signs are read aloud."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec

AS_IS: Final = "asis"


@dataclass(frozen=True, kw_only=True, slots=True)
class Phrases:
    """What every message of one language shares. Keys of the tables are the names of our own enumerations."""

    language: str  # the folder of its templates
    full_stop: str
    joiner: str
    signature: str
    sms_prefix: str
    colour_note: str
    colours: Mapping[str, str]  # by Level name
    numerals: Mapping[str, str]
    stages: Mapping[str, str]  # by Stage value
    marks: Mapping[str, str]  # by Status value; Actual has none
    responses: Mapping[str, str]  # by ResponseType value


@dataclass(frozen=True, kw_only=True, slots=True)
class SpokenSigns:
    """How one language reads numbers and units (see `spoken`)."""

    telephone_before: tuple[str, ...]
    telephone_after: tuple[str, ...]
    digits: str
    measures: tuple[str, ...]
    units: Mapping[str, str]


def phrases_of(tag: str) -> Phrases:
    """The phrases for a language tag (`zh-CN`, `en`), those of "as is" where we have none."""
    known = _phrases()
    return known.get(primary(tag), known[AS_IS])


def spoken_signs(language: str) -> SpokenSigns | None:
    """How `language` (a primary tag) reads signs, or None where nobody wrote it down."""
    return _spoken().get(language)


def primary(tag: str) -> str:
    """The language of a tag without region or script: `zh` of `zh-CN` or `ZH_hans`."""
    return tag.replace("_", "-").split("-")[0].strip().lower()


@cache
def table(name: str) -> dict[str, dict[str, object]]:
    """A TOML file of `templates/message/`."""
    return tomllib.loads((files("templates") / "message" / name).read_text(encoding="utf-8"))


@cache
def _phrases() -> dict[str, Phrases]:
    return {k: msgspec.convert({"language": k, **values}, Phrases) for k, values in table("phrases.toml").items()}


@cache
def _spoken() -> dict[str, SpokenSigns]:
    return {k: msgspec.convert(values, SpokenSigns) for k, values in table("spoken.toml").items()}
