"""Everything a person reads exists in Chinese and English."""

from __future__ import annotations

import string

import pytest

from broadcast_core.i18n import Sentence, _, language_of, translate
from tests.messages import chinese, missing, stale


def fields(text: str) -> set[str]:
    return {name for _literal, name, _spec, _conversion in string.Formatter().parse(text) if name}


def test_every_sentence_has_its_chinese() -> None:
    assert missing() == []


def test_the_chinese_names_the_same_values() -> None:
    wrong = [msgid for msgid, text in chinese().items() if fields(msgid) != fields(text)]
    assert not wrong


def test_the_catalogue_holds_nothing_that_the_code_no_longer_says() -> None:
    assert stale() == []


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
