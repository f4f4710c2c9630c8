"""Every refusal names the element and says what to do."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.cap import LARGEST_MESSAGE, encode_json, parse_json, parse_xml
from broadcast_core.errors import AlertRejected, RejectReason

GOLDEN = Path(__file__).parents[2] / "golden" / "cap"
MINIMAL = (GOLDEN / "minimal.xml").read_text()
SENT = "<sent>2026-11-05T14:00:00+08:00</sent>"
POLYGON = "28.1,112.9 28.2,112.9 28.2,113.0 28.1,112.9"
AREA = "info[0].area[0]"

INVALID = RejectReason.INVALID_VALUE
MISSING = RejectReason.MISSING
UNKNOWN = RejectReason.UNKNOWN_ELEMENT
DOUBLED = RejectReason.DUPLICATE_ELEMENT
MALFORMED = RejectReason.MALFORMED


def refusal(data: str | bytes) -> AlertRejected:
    with pytest.raises(AlertRejected) as caught:
        parse_xml(data.encode() if isinstance(data, str) else data)
    return caught.value


def edited(old: str, new: str) -> str:
    assert MINIMAL.count(old) == 1, old
    return MINIMAL.replace(old, new)


def test_the_message_that_the_others_are_made_of_is_good() -> None:
    assert parse_xml(MINIMAL.encode()).notes == ()


@pytest.mark.parametrize(
    ("old", "new", "reason", "field"),
    [
        ("<identifier>M-1</identifier>", "", MISSING, "identifier"),
        ("<identifier>M-1</identifier>", "<identifier> </identifier>", MISSING, "identifier"),
        ("M-1", "M 1", INVALID, "identifier"),
        ("M-1", "M\u202e-1", INVALID, "identifier"),
        ("M-1", "M\u200b-1", INVALID, "identifier"),
        ("M-1", "M&lt;1", INVALID, "identifier"),
        ("M-1", "M&amp;1", INVALID, "identifier"),
        ("duty@", "duty,", INVALID, "sender"),
        (SENT, SENT * 2, DOUBLED, "sent"),
        (SENT, "<sent/>" + SENT, DOUBLED, "sent"),
        (SENT, "", MISSING, "sent"),
        ("14:00:00+08:00", "14:00:00Z", INVALID, "sent"),
        ("14:00:00+08:00", "14:00:00", INVALID, "sent"),
        ("14:00:00+08:00", "14:00:00.5+08:00", INVALID, "sent"),
        ("14:00:00+08:00", "14:00+08:00", INVALID, "sent"),
        ("14:00:00+08:00", "14:00:00+0800", INVALID, "sent"),
        ("14:00:00+08:00", "14:00:00+15:00", INVALID, "sent"),
        ("14:00:00+08:00", "25:00:00+08:00", INVALID, "sent"),
        ("2026-11-05T14", "2026-02-30T14", INVALID, "sent"),
        ("2026-11-05T14", "2026-11-05 14", INVALID, "sent"),
        ("Actual", "actual", INVALID, "status"),
        (">Alert<", ">Warning<", INVALID, "msgType"),
        (">Alert<", ">Cancel<", MISSING, "references"),
        (">Alert<", ">Update<", MISSING, "references"),
        (">Alert<", ">Ack<", MISSING, "references"),
        (">Alert<", ">Error<", MISSING, "references"),
        ("Public", "Restricted", MISSING, "restriction"),
        ("Public", "Private", MISSING, "addresses"),
        ("</scope>", "</scope><references>a,b</references>", INVALID, "references[0]"),
        (
            "</scope>",
            "</scope><references>a,b,2026-11-05T14:00:00+08:00 a,b,2026-11-05T06:00:00Z</references>",
            INVALID,
            "references[1]",
        ),
        ("</scope>", '</scope><addresses>a "b c</addresses>', INVALID, "addresses"),
        ("</scope>", '</scope><incidents>a "b"c</incidents>', INVALID, "incidents"),
        ("</scope>", '</scope><incidents>a ""</incidents>', INVALID, "incidents[1]"),
        ("</scope>", "</scope><headline>x</headline>", UNKNOWN, "headline"),
        ("</scope>", "</scope>text", MALFORMED, "alert"),
        ("<info>", "<info>text", MALFORMED, "info[0]"),
        ("<category>Safety</category>", "", MISSING, "info[0].category"),
        ("Safety", "Weather", INVALID, "info[0].category[0]"),
        ("<event>Siren test</event>", "<event><b>x</b></event>", UNKNOWN, "info[0].event.b"),
        ("<event>", "<event lang='en'>", UNKNOWN, "info[0].event@lang"),
        ("<info>", "<info id='1'>", UNKNOWN, "info[0]@id"),
        ("Immediate", "Now", INVALID, "info[0].urgency"),
        ("<info>", "<info><language>zh_CN</language>", INVALID, "info[0].language"),
        ("<info>", "<info><expires>tomorrow</expires>", INVALID, "info[0].expires"),
        ("<info>", "<info><parameter><value>1</value></parameter>", MISSING, "info[0].parameter[0].valueName"),
        ("<info>", "<info><parameter><valueName>a</valueName></parameter>", MISSING, "info[0].parameter[0].value"),
        (
            "<info>",
            "<info><resource><resourceDesc>a</resourceDesc></resource>",
            MISSING,
            "info[0].resource[0].mimeType",
        ),
        ("<areaDesc>Yard</areaDesc>", "", MISSING, f"{AREA}.areaDesc"),
        ("<areaDesc>", "<ceiling>3</ceiling><areaDesc>", MISSING, f"{AREA}.altitude"),
        ("<areaDesc>", "<altitude>1e3</altitude><areaDesc>", INVALID, f"{AREA}.altitude"),
        ("<areaDesc>", "<altitude>NaN</altitude><areaDesc>", INVALID, f"{AREA}.altitude"),
        (POLYGON, "28.1,112.9 28.2,112.9 28.1,112.9", INVALID, f"{AREA}.polygon[0]"),
        (POLYGON, "28.1,112.9 28.2,112.9 28.2,113.0 28.1,113.0", INVALID, f"{AREA}.polygon[0]"),
        (POLYGON, "112.9,28.1 112.9,28.2 113.0,28.2 112.9,28.1", INVALID, f"{AREA}.polygon[0]"),
        (POLYGON, "28.1 112.9", INVALID, f"{AREA}.polygon[0]"),
        (POLYGON, "28.1,112.9,5 28.2,112.9 28.2,113.0 28.1,112.9", INVALID, f"{AREA}.polygon[0]"),
        (POLYGON, "28.1,east 28.2,112.9 28.2,113.0 28.1,112.9", INVALID, f"{AREA}.polygon[0]"),
        ("</polygon>", "</polygon><polygon>0,0</polygon>", INVALID, f"{AREA}.polygon[1]"),
        ("28.1,112.9 1<", "28.1,112.9 -1<", INVALID, f"{AREA}.circle[0]"),
        ("28.1,112.9 1<", "28.1,112.9<", INVALID, f"{AREA}.circle[0]"),
        ("28.1,112.9 1<", "28.1,212.9 1<", INVALID, f"{AREA}.circle[0]"),
    ],
)
def test_a_wrong_element_is_refused_by_its_path(old: str, new: str, reason: RejectReason, field: str) -> None:
    refused = refusal(edited(old, new))
    assert (refused.reason, refused.field) == (reason, field)
    assert str(refused.sentence)


def test_the_second_info_is_named_as_such() -> None:
    start = MINIMAL.index("<info>")
    info = MINIMAL[start : MINIMAL.index("</alert>")]
    second = info.replace(POLYGON, "28.1,112.9 28.2,112.9")
    assert refusal(MINIMAL.replace("</alert>", second + "</alert>")).field == "info[1].area[0].polygon[0]"


@pytest.mark.parametrize(
    ("namespace", "version"),
    [
        ("urn:oasis:names:tc:emergency:cap:1.1", "1.1"),
        ("http://www.incident.com/cap/1.0", "1.0"),
    ],
)
def test_older_versions_of_cap_are_refused_as_such(namespace: str, version: str) -> None:
    refused = refusal(edited("urn:oasis:names:tc:emergency:cap:1.2", namespace))
    assert (refused.reason, refused.field) == (INVALID, "alert")
    assert f"CAP {version}" in str(refused.sentence)


@pytest.mark.parametrize("namespace", ["", "urn:oasis:names:tc:emergency:cap:1.3"])
def test_another_namespace_is_refused(namespace: str) -> None:
    assert refusal(edited("urn:oasis:names:tc:emergency:cap:1.2", namespace)).field == "alert"


def test_an_element_of_another_namespace_is_refused() -> None:
    refused = refusal(edited("<info>", "<info><x:event xmlns:x='urn:x'>e</x:event>"))
    assert (refused.reason, refused.field) == (UNKNOWN, "info[0].event")


def test_a_signature_anywhere_but_in_the_alert_is_refused() -> None:
    refused = refusal(edited("<info>", "<info><Signature xmlns='http://www.w3.org/2000/09/xmldsig#'/>"))
    assert (refused.reason, refused.field) == (UNKNOWN, "info[0].Signature")


def test_what_wraps_an_alert_is_refused_by_name() -> None:
    refused = refusal(f"<feed xmlns='http://www.w3.org/2005/Atom'>{MINIMAL}</feed>")
    assert (refused.reason, refused.field) == (UNKNOWN, "feed")


def test_elements_in_another_order_are_read_all_the_same() -> None:
    moved = edited(SENT, "").replace("</scope>", f"</scope>{SENT}")
    assert parse_xml(moved.encode()).alert == parse_xml(MINIMAL.encode()).alert


def test_comments_and_instructions_inside_text_change_nothing() -> None:
    noisy = edited("Siren test", "Siren<!-- <b> --> <?x y?>test").replace(
        "<alert", "<?xml-stylesheet href='a'?><alert"
    )
    assert parse_xml(noisy.encode()).alert == parse_xml(MINIMAL.encode()).alert


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "gb18030"])
def test_any_declared_encoding_is_read(encoding: str) -> None:
    declared = "" if encoding.startswith("utf") else f"<?xml version='1.0' encoding='{encoding}'?>"
    data = (declared + edited("Siren test", "警报试鸣")).encode(encoding)
    assert parse_xml(data).alert.infos[0].event == "警报试鸣"


# Hostile input


def with_doctype(doctype: str, text: str = "Siren test") -> str:
    return doctype + edited("Siren test", text)


LAUGHS = (
    "<!DOCTYPE alert [<!ENTITY a '"
    + "ha" * 500
    + "'>"
    + "".join(f"<!ENTITY {after} '{f'&{name};' * 10}'>" for name, after in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


@pytest.mark.parametrize(
    "data",
    [
        with_doctype("<!DOCTYPE alert>"),
        with_doctype("<!DOCTYPE alert SYSTEM 'http://127.0.0.1:1/x.dtd'>"),
        with_doctype("<!DOCTYPE alert [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>", "&x;"),
        with_doctype("<!DOCTYPE alert [<!ENTITY % x SYSTEM 'file:///etc/hostname'> %x;]>"),
        with_doctype("<!DOCTYPE alert [<!ATTLIST info a CDATA 'x'>]>"),
        with_doctype(LAUGHS, "&i;"),
        with_doctype(LAUGHS).replace("<info>", "<info a='&i;'>"),
        with_doctype("<!DOCTYPE alert>").encode("utf-16"),
    ],
    ids=["bare", "external", "entity", "parameter-entity", "default", "laughs", "laughs-attribute", "utf-16"],
)
def test_a_doctype_is_refused_whatever_it_says(data: str | bytes) -> None:
    assert refusal(data).reason is MALFORMED


SURROGATE = b"\xed\xa0\x80"


@pytest.mark.parametrize("data", [b"", b"\0", b"<alert", b"{}", "&x;", MINIMAL[:-10], MINIMAL + "<a/>", SURROGATE])
def test_what_is_no_xml_is_refused(data: str | bytes) -> None:
    refused = refusal(data)
    assert (refused.reason, refused.field) == (MALFORMED, None)


def test_a_message_may_have_256_kib_and_no_byte_more() -> None:
    padded = MINIMAL.encode() + b" " * (LARGEST_MESSAGE - len(MINIMAL.encode()))
    assert parse_xml(padded).alert.identifier == "M-1"
    assert refusal(padded + b" ").reason is RejectReason.TOO_LARGE


@pytest.mark.parametrize("levels", [9, 250, 300, 20_000])
def test_deep_nesting_is_refused_also_inside_a_signature(levels: int) -> None:
    nest = "<x>" * (levels - 2) + "</x>" * (levels - 2)
    signature = f"<Signature xmlns='http://www.w3.org/2000/09/xmldsig#'>{nest}</Signature>"
    assert refusal(edited("</info>", f"</info>{signature}")).reason in (RejectReason.TOO_LARGE, MALFORMED)


def test_a_refusal_repeats_little_of_what_it_refuses_and_no_control_characters() -> None:
    sentence = str(refusal(edited("Actual", "\x9b31m" + "x" * 1000)).sentence)
    assert len(sentence) < 200
    assert "\x9b" not in sentence


# JSON


def changed(**changes: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(encode_json(parse_xml(MINIMAL.encode()).alert))
    return document | changes


def info(**changes: Any) -> dict[str, Any]:
    document = changed()
    return changed(info=[document["info"][0] | changes])


def area(**changes: Any) -> dict[str, Any]:
    held = changed()["info"][0]["area"][0]
    return info(area=[held | changes])


def json_refusal(data: bytes) -> AlertRejected:
    with pytest.raises(AlertRejected) as caught:
        parse_json(data)
    return caught.value


@pytest.mark.parametrize(
    ("document", "reason", "field"),
    [
        (changed(identifier=1), MALFORMED, "identifier"),
        (changed(identifier=None), MISSING, "identifier"),
        (changed(identifier=""), MISSING, "identifier"),
        (changed(headline="x"), UNKNOWN, "headline"),
        (changed(msg_type="Alert"), UNKNOWN, "msg_type"),
        (changed(sent="2026-11-05T06:00:00Z"), INVALID, "sent"),
        (changed(sent="2026-11-05T06:00:00.000+00:00"), INVALID, "sent"),
        (changed(references=["a,b"]), INVALID, "references[0]"),
        (changed(references="a,b,2026-11-05T06:00:00+00:00"), MALFORMED, "references"),
        (changed(addresses=["a", 1]), MALFORMED, "addresses[1]"),
        (changed(info={}), MALFORMED, "info"),
        (changed(info=[[]]), MALFORMED, "info[0]"),
        (changed(info=[None]), MALFORMED, "info[0]"),
        (info(category="Met"), MALFORMED, "info[0].category"),
        (info(category=[]), MISSING, "info[0].category"),
        (info(parameter=[{"valueName": "a", "value": 1}]), MALFORMED, "info[0].parameter[0].value"),
        (
            info(resource=[{"resourceDesc": "", "mimeType": "a/b", "size": 1.5}]),
            MALFORMED,
            "info[0].resource[0].size",
        ),
        (
            info(resource=[{"resourceDesc": "", "mimeType": "a/b", "size": True}]),
            MALFORMED,
            "info[0].resource[0].size",
        ),
        (area(polygon=[[0, 0], [0, 1], [1, 1], [0, 0]]), MALFORMED, f"{AREA}.polygon[0]"),
        (area(polygon=["0,0 0,1 1,1 0,0"]), MALFORMED, f"{AREA}.polygon[0]"),
        (area(polygon=[[]]), INVALID, f"{AREA}.polygon[0]"),
        (area(polygon=[[[0, 0], [0, 1], [1, 1]]]), INVALID, f"{AREA}.polygon[0]"),
        (area(polygon=[[[112.9, 28.1]] * 4]), INVALID, f"{AREA}.polygon[0]"),
        (area(polygon=[[["0", 0]] * 4]), MALFORMED, f"{AREA}.polygon[0]"),
        (area(polygon=[[[0, False]] * 4]), MALFORMED, f"{AREA}.polygon[0]"),
        (area(circle=[[[0, 0]]]), INVALID, f"{AREA}.circle[0]"),
        (area(circle=[[[0, 0], -1]]), INVALID, f"{AREA}.circle[0]"),
        (area(altitude="3"), MALFORMED, f"{AREA}.altitude"),
        (area(altitude=10**400), INVALID, f"{AREA}.altitude"),
        (area(ceiling=3), MISSING, f"{AREA}.altitude"),
    ],
)
def test_a_wrong_key_of_json_is_refused_by_its_path(document: Any, reason: RejectReason, field: str) -> None:
    refused = json_refusal(json.dumps(document).encode())
    assert (refused.reason, refused.field) == (reason, field)


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ('"status":', '"status":"Draft","status":', "status"),
        ('"event":', '"event":"x","event":', "info[0].event"),
        ('"areaDesc":', '"areaDesc":"x","areaDesc":', "info[0].area[0].areaDesc"),
    ],
)
def test_a_key_that_comes_twice_is_refused(old: str, new: str, field: str) -> None:
    text = json.dumps(changed(), separators=(",", ":")).replace(old, new)
    refused = json_refusal(text.encode())
    assert (refused.reason, refused.field) == (DOUBLED, field)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b'{"a":NaN}',
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b"\xff",
        b'{"a":' + b"9" * 9000 + b"}",
    ],
)
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    assert json_refusal(data).reason is MALFORMED


def test_json_has_the_same_limit_of_size() -> None:
    assert json_refusal(b" " * LARGEST_MESSAGE + b"{}").reason is RejectReason.TOO_LARGE


# Whatever comes


SEEDS = [path.read_bytes() for path in sorted(GOLDEN.iterdir())]


@settings(deadline=None, max_examples=500)
@given(st.data())
def test_damaged_messages_are_read_or_refused_and_nothing_else(data: st.DataObject) -> None:
    seed = data.draw(st.sampled_from(SEEDS))
    start = data.draw(st.integers(0, len(seed)))
    end = data.draw(st.integers(start, min(len(seed), start + 30)))
    patch = data.draw(st.binary(max_size=8) | st.sampled_from([b"<", b"&", b'"', b"<info>", b"null", b"[", b"{}"]))
    damaged = seed[:start] + patch + seed[end:]
    for parse in (parse_xml, parse_json):
        with contextlib.suppress(AlertRejected):
            parse(damaged)
