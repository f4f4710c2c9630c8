"""Everything a person reads exists in Chinese and English."""

from __future__ import annotations

import string
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

import broadcast_core
from broadcast_core.i18n import Sentence, _, language_of, translate

ROOT = Path(broadcast_core.__file__).parent.parent
PACKAGES = ("broadcast_core", "drivers", "scheduler", "simulators")
CATALOGUE = ROOT / "broadcast_core/locale/zh/LC_MESSAGES/tocsin.po"


def sentences_in_code() -> Iterator[tuple[str, str]]:
    """(msgid, where) of every `_("…")`."""
    for package in PACKAGES:
        for file, line, msgid, _comments, _context in extract_from_dir(
            ROOT / package, method_map=[("**.py", "python")], keywords={"_": None}
        ):
            yield (msgid if isinstance(msgid, str) else msgid[0]), f"{package}/{file}:{line}"


def fields(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


def chinese() -> dict[str, str]:
    with CATALOGUE.open("rb") as file:
        return {str(m.id): str(m.string) for m in read_po(file, locale="zh") if m.id}


def test_every_sentence_has_its_chinese() -> None:
    known = chinese()
    missing = sorted({f"{where}: {msgid}" for msgid, where in sentences_in_code() if not known.get(msgid)})
    assert not missing, "\n".join(missing)


def test_the_chinese_names_the_same_values() -> None:
    wrong = [msgid for msgid, text in chinese().items() if fields(msgid) != fields(text)]
    assert not wrong


def test_the_catalogue_holds_nothing_that_the_code_no_longer_says() -> None:
    said = {msgid for msgid, _where in sentences_in_code()}
    assert sorted(set(chinese()) - said) == []


def test_the_catalogue_is_read_as_its_own_tools_read_it() -> None:
    assert {msgid: translate(msgid, "zh") for msgid in chinese()} == chinese()


def test_a_sentence_inside_a_sentence_is_said_in_the_same_language() -> None:
    inner = _("No area is given.")
    outer = Sentence("{why}", {"why": inner})
    assert outer.say("zh") == chinese()["No area is given."]


@pytest.mark.parametrize(
    ("wanted", "language"),
    [
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB", "en"),
        ("fr,zh", "zh"),
        ("fr", "en"),
        (None, "en"),
        ("zh_CN.UTF-8", "zh"),
    ],
)
def test_the_language_that_fits_best_is_taken(wanted: str | None, language: str) -> None:
    assert language_of(wanted) == language
