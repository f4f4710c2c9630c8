"""Messages written by hand read as what they say."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

import pytest

from broadcast_core.cap import encode_json, encode_xml, parse_json, parse_xml
from broadcast_core.model import (
    Alert,
    Category,
    Circle,
    MsgType,
    NamedValue,
    Point,
    Reference,
    ResponseType,
    Scope,
)

GOLDEN = Path(__file__).parents[2] / "golden" / "cap"
PAGE = Path(__file__).parents[3] / "docs" / "protocols" / "cap.md"


def read(name: str) -> Alert:
    return parse_xml((GOLDEN / name).read_bytes()).alert


def test_every_element_of_a_full_alert_is_read() -> None:
    alert = read("rainstorm.xml")
    chinese, english = alert.infos
    assert alert.reference == Reference(
        sender="duty@tianxin.example",
        identifier="tianxin-20261105-001",
        sent=datetime.fromisoformat("2026-11-05T06:00:00+00:00"),
    )
    assert alert.incidents == ("flood-2026-11", "Dike at Heishipu")
    assert alert.code == ("tocsin-1",)
    assert chinese.category == (Category.MET, Category.SAFETY)
    assert chinese.response_type == (ResponseType.SHELTER, ResponseType.AVOID)
    assert chinese.event_code == (NamedValue(name="tocsin:event", value="rainstorm"),)
    assert chinese.description == ("过去三小时降雨量已超过 100 毫米，\n预计还将持续两小时。水位 > 36 米 & 仍在上涨。")
    assert chinese.parameter[-1] == NamedValue(name="empty-is-a-value", value="")
    assert chinese.resource[0].size == 48213
    area = chinese.area[0]
    assert area.circles == (Circle(centre=Point(lat=28.1125, lon=112.985), radius_km=1.5),)
    assert len(area.polygons[0]) == 5
    assert area.polygons[0][0] == area.polygons[0][-1] == Point(lat=28.1, lon=112.96)
    assert area.geocodes == (NamedValue(name="tocsin:zone", value="430103002"),)
    assert (area.altitude, area.ceiling) == (0.0, 120.5)
    assert english.expires == chinese.expires
    assert (english.language, english.headline) == ("en-US", "Red rainstorm warning: go to higher ground now")


def test_the_json_form_is_the_same_alert() -> None:
    assert parse_json((GOLDEN / "rainstorm.json").read_bytes()) == read("rainstorm.xml")


def test_an_update_names_what_it_updates_and_its_language_has_caps_default() -> None:
    alert = read("update.xml")
    assert alert.identifier == "tianxin-20261105-002"
    assert alert.msg_type is MsgType.UPDATE
    assert alert.references[0] == read("rainstorm.xml").reference
    assert alert.references[1].sent == datetime.fromisoformat("2026-11-05T14:30:00+08:00")
    assert alert.infos[0].language == "en-US"


def test_empty_elements_count_as_absent_and_are_named() -> None:
    parsed = parse_xml((GOLDEN / "update.xml").read_bytes())
    assert parsed.alert.infos[0].contact is None
    assert parsed.alert.infos[0].area[0].polygons == ()
    assert [str(note) for note in parsed.notes] == [
        "Empty elements count as absent: info[0].contact, info[0].area[0].polygon[0]."
    ]


def test_a_cancel_needs_no_info() -> None:
    alert = read("cancel.xml")
    assert (alert.msg_type, alert.infos) == (MsgType.CANCEL, ())
    assert alert.references == (read("rainstorm.xml").reference,)


def test_a_signature_is_dropped_and_that_is_said() -> None:
    parsed = parse_xml((GOLDEN / "signed-private.xml").read_bytes())
    assert [str(note) for note in parsed.notes] == ["The enveloped signature was not verified and is dropped."]
    assert parsed.alert.scope is Scope.PRIVATE
    assert parsed.alert.addresses == ("chief@tianxin.example", "Fire station 3", "119")


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.xml")), ids=lambda path: path.name)
def test_what_was_read_and_written_reads_back_equal(path: Path) -> None:
    alert = parse_xml(path.read_bytes()).alert
    again = parse_xml(encode_xml(alert))
    assert again.alert == alert
    assert again.notes == ()
    assert parse_json(encode_json(alert)) == alert


def test_utc_is_written_as_cap_demands() -> None:
    assert b"<expires>2026-11-05T09:00:00-00:00</expires>" in encode_xml(read("rainstorm.xml"))


def test_items_of_several_words_are_quoted_again() -> None:
    assert b'"Fire station 3" 119</addresses>' in encode_xml(read("signed-private.xml"))


def test_the_examples_of_the_page_are_good() -> None:
    examples = re.findall(r"```(json|xml)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    read = [parse_json(b.encode()) if form == "json" else parse_xml(b.encode()).alert for form, b in examples]
    assert [alert.identifier[-3:] for alert in read] == ["007", "001", "003"]
