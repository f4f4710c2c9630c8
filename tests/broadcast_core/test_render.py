"""What people hear and read. The golden files are reviewed by eye; `python tests/broadcast_core/test_render.py`
writes them anew."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.model import (
    Alert,
    Category,
    Certainty,
    Info,
    Level,
    MsgType,
    NamedValue,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)
from broadcast_core.render import render
from broadcast_core.render.flow import flowed
from broadcast_core.render.kinds import kind_of, kinds
from broadcast_core.render.spoken import numeral, read_aloud

GOLDEN = Path(__file__).parents[1] / "golden" / "render"


def info(**fields: object) -> Info:
    plain = Info(
        category=(Category.MET,),
        event="暴雨",
        urgency=Urgency.IMMEDIATE,
        severity=Severity.EXTREME,
        certainty=Certainty.OBSERVED,
        language="zh-CN",
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


def alert(*infos: Info, **fields: object) -> Alert:
    plain = Alert(
        identifier="a1",
        sender="officer@district.invalid",
        sent=datetime(2026, 11, 22, 8, tzinfo=UTC),
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        infos=infos,
    )
    return replace(plain, **fields)  # type: ignore[arg-type]


FULL_ZH = info(
    event="暴雨红色预警信号",
    sender_name="天心区气象台",
    headline="天心区气象台2026年11月22日16时05分发布暴雨红色预警信号",
    description="预计未来3小时，天心区大部分街道降雨量将达100mm以上，\n"
    "并伴有8-10级大风。\n\n* 桂花坪街道：2处低洼路段积水0.5m\n* 气温降至-2℃",
    instruction="请停止户外活动。遇险请拨打119或12345热线，值班电话：0731-85890110。",
)
FULL_EN = info(
    language="en-US",
    event="Rainstorm Warning",
    sender_name="Tianxin District Meteorological Office",
    headline="Red rainstorm warning for Tianxin District",
    description="More than 100 mm of rain within\nthree hours, wind up to 80 km/h.",
    instruction="Stay indoors. If you are in danger call 119.",
)

CASES: dict[str, tuple[Alert, Level]] = {
    "full-two-languages": (alert(FULL_ZH, FULL_EN), Level.RED),
    "nothing-supplied": (alert(info(), info(language="en-GB", event="rainstorm")), Level.ORANGE),
    "level-unknown": (alert(info(event="地震"), info(language="en", event="earthquake")), Level.UNKNOWN),
    "colour-missing-in-headline": (alert(info(headline="天心区有暴雨")), Level.YELLOW),
    "update": (alert(FULL_ZH, FULL_EN, msg_type=MsgType.UPDATE), Level.RED),
    "all-clear": (
        alert(
            info(response_type=(ResponseType.ALL_CLEAR,)),
            info(language="en", event="rainstorm", response_type=(ResponseType.ALL_CLEAR,)),
            msg_type=MsgType.UPDATE,
        ),
        Level.RED,
    ),
    "cancel": (alert(info(), info(language="en", event="flood"), msg_type=MsgType.CANCEL), Level.RED),
    "response-instead-of-advice": (
        alert(info(event="危化品泄漏", response_type=(ResponseType.EVACUATE, ResponseType.MONITOR))),
        Level.RED,
    ),
    "air-raid": (alert(info(event="空袭"), info(language="en", event="air raid")), Level.RED),
    "generic": (alert(info(event="大型活动人流管控"), info(language="en", event="Crowd control")), Level.BLUE),
    "language-without-words": (
        alert(
            info(
                language="fr-CA",
                event="Inondation",
                headline="Alerte aux inondations",
                description="Pluie : 100 mm.",
                instruction="Montez à l'étage.",
            )
        ),
        Level.RED,
    ),
    "same-language-merges": (
        alert(
            info(headline="暴雨红色预警", description="预计降雨100毫米。", audience="居民"),
            info(language="ZH-cn", headline="暴雨红色预警", description="学校停课。", audience="学校"),
        ),
        Level.RED,
    ),
    "exercise": (alert(info(), info(language="en", event="fire"), status=Status.EXERCISE), Level.RED),
    "language-left-out": (alert(info(language="en-US", headline="天心区暴雨红色预警")), Level.RED),
}


def rendered(name: str) -> str:
    case, level = CASES[name]
    return json.dumps([asdict(w) for w in render(case, level=level)], ensure_ascii=False, indent=1) + "\n"


@pytest.mark.parametrize("name", CASES)
def test_words_are_what_was_agreed(name: str) -> None:
    assert rendered(name) == (GOLDEN / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["zh", "en", "fr"])
@pytest.mark.parametrize("kind", sorted(kinds()))
@pytest.mark.parametrize("level", list(Level))
def test_every_template_says_something_in_every_form_and_stage(kind: str, language: str, level: Level) -> None:
    named = info(language=language, event_code=(NamedValue(name="tocsin:event", value=kind),))
    for msg_type in MsgType:
        for response in (None, *ResponseType):
            one = alert(replace(named, response_type=(response,) if response else ()), msg_type=msg_type)
            (words,) = render(one, level=level)
            assert words.speech
            assert words.text
            assert words.sms
            assert "  " not in words.speech


def test_every_kind_has_a_template_in_both_languages() -> None:
    folder = files("templates") / "message"
    assert [
        f"{lang}/{k}" for lang in ("zh", "en") for k in kinds() if not (folder / lang / f"{k}.j2").is_file()
    ] == []


def test_what_the_author_supplied_is_used_in_full() -> None:
    description = "。".join(f"第{n}段内容" for n in range(400)) + "。"
    (words,) = render(alert(info(headline="标题", description=description, instruction="照做。")))
    assert description in words.text
    assert words.speech.count("段内容") == 400
    assert words.sms.endswith("标题。照做。")


def test_an_sms_without_headline_and_instruction_carries_the_description() -> None:
    (words,) = render(alert(info(description="桂花坪街道停水。")))
    assert "桂花坪街道停水。" in words.sms


def test_users_fill_in_values_and_never_templates() -> None:
    hostile = "{{ 7 * 7 }}{% include 'zh/sms.j2' %}{# gone #}"
    (words,) = render(alert(info(headline=hostile)))
    assert hostile in words.text
    assert hostile in words.sms


def test_markup_in_a_value_stays_as_it_is() -> None:
    (words,) = render(alert(info(language="en", headline="Fire & smoke <north>")))
    assert "Fire & smoke <north>" in words.sms


def test_signs_that_lie_about_the_order_of_text_are_removed() -> None:
    (words,) = render(alert(info(headline="暴\u202e雨\u0000预警\u200b")))
    assert "暴雨预警" in words.text


def test_an_unknown_kind_is_refused_by_name() -> None:
    one = alert(info(), info(event_code=(NamedValue(name="tocsin:event", value="dragon"),)))
    with pytest.raises(AlertRejected) as refused:
        render(one)
    assert refused.value.reason is RejectReason.UNKNOWN_TEMPLATE
    assert refused.value.field == "info[1].eventCode"
    assert "dragon" in str(refused.value)


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("暴雨", "rainstorm"),
        ("特大暴雨引发山洪", "rainstorm"),
        ("城市内涝", "flood"),
        ("Flash Flood Warning", "flood"),
        ("Ceasefire announcement", "generic"),
        ("Fire Weather Watch", "generic"),
        ("森林火险", "generic"),
        ("Wildfire", "fire"),
        ("firefighters wanted", "generic"),
        ("HAZMAT incident", "hazmat"),
        ("燃气泄漏", "hazmat"),
        ("空袭警报", "air-raid"),
        ("Something else", "generic"),
        ("", "generic"),
    ],
)
def test_the_longest_word_of_the_table_decides_the_kind(event: str, kind: str) -> None:
    assert kind_of(info(event=event)).name == kind


def test_a_named_kind_outranks_the_words_of_the_event() -> None:
    named = info(event="暴雨", parameter=(NamedValue(name="tocsin:event", value="flood"),))
    assert kind_of(named).name == "flood"


def test_an_alert_without_infos_has_no_words() -> None:
    assert render(alert(msg_type=MsgType.CANCEL)) == ()


def test_an_sms_is_signed_as_the_account_requires() -> None:
    (zh,) = render(alert(info()), signatures={"zh": "某区应急"})
    assert zh.sms.startswith("【某区应急】")
    (bare,) = render(alert(info()), signatures={"zh": ""})
    assert bare.sms.startswith("暴雨预警。")


@pytest.mark.parametrize("kind", sorted(kinds()))
def test_our_english_sms_needs_no_sign_outside_the_gsm_alphabet(kind: str) -> None:
    named = info(language="en", event="x", event_code=(NamedValue(name="tocsin:event", value=kind),))
    (words,) = render(alert(named), level=Level.RED)
    assert words.sms.isascii()
    assert not set(words.sms) & set("[]{}\\^~|`")


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.ACTUAL])
@pytest.mark.parametrize("language", ["zh", "en", "fr-CA"])
def test_what_is_not_actual_is_marked_first_and_last_everywhere(status: Status, language: str) -> None:
    (words,) = render(alert(info(language=language, headline="Title"), status=status))
    first, *_, last = words.text.split("\n")
    assert first == last != "Title"
    assert words.speech.count(first.rstrip("。.")) == 2
    assert words.sms.count(first.rstrip("。.")) == 2


@given(text=st.text(max_size=300), language=st.sampled_from(["zh", "en", "ar", "x"]))
def test_no_text_breaks_it_and_no_word_of_it_is_lost(text: str, language: str) -> None:
    (words,) = render(alert(info(language=language, event="e", headline="h", description=text)))
    assert flowed(text) in words.text


@pytest.mark.parametrize(
    "text", ["9" * 200_000, "1-" * 100_000, "1 " * 100_000, "2." * 100_000, "拨打1" * 50_000, "-\n" * 90_000]
)
def test_hostile_numbers_do_not_stop_it(text: str) -> None:
    for language in ("zh", "en"):
        assert render(alert(info(language=language, description=text)))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "零"),
        (10, "十"),
        (20, "二十"),
        (105, "一百零五"),
        (110, "一百一十"),
        (1005, "一千零五"),
        (12345, "一万二千三百四十五"),
        (100005, "十万零五"),
        (10**8 + 1000, "一亿零一千"),
        (1001000, "一百万一千"),
    ],
)
def test_numbers_are_chinese(number: int, said: str) -> None:
    assert numeral(number) == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("请拨打119。", "请拨打幺幺九。"),
        ("拨打119、110或12345", "拨打幺幺九、幺幺零或幺二三四五"),
        ("12345政务热线", "幺二三四五政务热线"),
        ("电话：0731-8589 0110", "电话：零七三幺八五八九零幺幺零"),
        ("2026年", "二零二六年"),
        ("2026-11-22T18:30:00+08:00", "二零二六年十一月二十二日十八点三十分"),
        ("16:05", "十六点零五分"),
        ("8-10级", "八到十级"),
        ("2到3小时", "两到三小时"),
        ("-5℃", "零下五摄氏度"),
        ("80%", "百分之八十"),
        ("39.51m", "三十九点五一米"),
        ("100mm/40km/h", "一百mm/四十公里每小时"),
        ("１２ｍｍ", "十二ｍｍ"),
        ("电话2次", "电话两次"),
    ],
)
def test_signs_are_read_aloud_in_mandarin(written: str, said: str) -> None:
    assert read_aloud(written, "zh") == said


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Call 119 or 120.", "Call 1 1 9 or 1 2 0."),
        ("about 119 people", "about 119 people"),
        ("35 °C, 80 km/h", "35 degrees Celsius, 80 kilometres per hour"),
        ("the 12345 hotline", "the 1 2 3 4 5 hotline"),
    ],
)
def test_signs_are_read_aloud_in_english(written: str, said: str) -> None:
    assert read_aloud(written, "en") == said


def test_a_language_without_a_table_is_read_as_it_is_written() -> None:
    assert read_aloud("119, 35 °C", "fr") == "119, 35 °C"


@pytest.mark.parametrize(
    ("supplied", "read"),
    [
        (None, ""),
        ("one\ntwo", "one two"),
        ("降雨\n量大", "降雨量大"),
        ("a\r\n\r\nb", "a\nb"),
        ("* WHAT...rain\n more\n* WHERE...here", "WHAT...rain more\nWHERE...here"),
        ("-5 degrees", "-5 degrees"),
        ("نیم\u200cفاصله", "نیم\u200cفاصله"),
    ],
)
def test_wrapped_text_flows(supplied: str | None, read: str) -> None:
    assert flowed(supplied) == read


if __name__ == "__main__":
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.json").write_text(rendered(case), encoding="utf-8")
