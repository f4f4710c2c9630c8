"""parse(encode(alert)) == alert, over the whole model, as XML and as JSON; what cannot be carried is refused."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.cap import LARGEST_MESSAGE, encode_json, encode_xml, parse_json, parse_xml, to_builtins
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.model import (
    Alert,
    Area,
    Category,
    Certainty,
    Circle,
    Info,
    MsgType,
    NamedValue,
    Point,
    Reference,
    Resource,
    ResponseType,
    Scope,
    Severity,
    Status,
    Urgency,
)

T = TypeVar("T")


def visible_but(excluded: str = "") -> st.SearchStrategy[str]:
    """Characters that show: no space, no control, nothing that XML cannot carry."""
    return st.characters(
        exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp"), exclude_characters="\ufffe\uffff" + excluded
    )


visible = visible_but()
anything = st.text(visible | st.sampled_from(" \t\n\r\u3000\u2028"), max_size=12)
texts = st.builds("{}{}{}".format, anything, visible, anything)
tokens = visible | st.builds("{}{}{}".format, visible, anything, visible)
shown = visible_but(",<&").filter(lambda c: unicodedata.category(c) != "Cf")
names = st.text(shown, min_size=1, max_size=8)
items = texts.map(lambda s: s.replace('"', "'"))
languages = st.from_regex(r"\A[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8}){0,2}\Z")
offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.builds(
    lambda local, zone: local.replace(microsecond=0, tzinfo=zone),
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001 - the zone comes after
    offsets,
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(Point, lat=st.floats(-90, 90), lon=st.floats(-180, 180))


def few(strategy: st.SearchStrategy[T], least: int = 0, most: int = 2) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def maybe(strategy: st.SearchStrategy[T]) -> st.SearchStrategy[T | None]:
    return st.none() | strategy


polygons = few(points, 3, 5).map(lambda ring: (*ring, ring[0]))
circles = st.builds(Circle, centre=points, radius_km=st.floats(0, 1e300))
named_values = st.builds(NamedValue, name=texts, value=anything)
references = st.builds(Reference, sender=names, identifier=names, sent=instants)
resources = st.builds(
    Resource,
    resource_desc=anything,
    mime_type=tokens,
    size=maybe(st.integers(0, 2**63 - 1)),
    uri=maybe(tokens),
    deref_uri=maybe(texts),
    digest=maybe(tokens),
)


@st.composite
def areas(draw: st.DrawFn) -> Area:
    altitude = draw(maybe(numbers))
    return Area(
        area_desc=draw(texts),
        polygons=draw(few(polygons)),
        circles=draw(few(circles)),
        geocodes=draw(few(named_values)),
        altitude=altitude,
        ceiling=None if altitude is None else draw(maybe(numbers)),
    )


infos = st.builds(
    Info,
    category=few(st.sampled_from(Category), 1),
    event=texts,
    urgency=st.sampled_from(Urgency),
    severity=st.sampled_from(Severity),
    certainty=st.sampled_from(Certainty),
    language=languages,
    response_type=few(st.sampled_from(ResponseType)),
    audience=maybe(texts),
    event_code=few(named_values),
    effective=maybe(instants),
    onset=maybe(instants),
    expires=maybe(instants),
    sender_name=maybe(texts),
    headline=maybe(texts),
    description=maybe(texts),
    instruction=maybe(texts),
    web=maybe(tokens),
    contact=maybe(texts),
    parameter=few(named_values),
    resource=few(resources),
    area=few(areas()),
)


@st.composite
def alerts(draw: st.DrawFn) -> Alert:
    """Any alert that CAP 1.2 allows."""
    msg_type, scope = draw(st.sampled_from(MsgType)), draw(st.sampled_from(Scope))
    return Alert(
        identifier=draw(names),
        sender=draw(names),
        sent=draw(instants),
        status=draw(st.sampled_from(Status)),
        msg_type=msg_type,
        scope=scope,
        source=draw(maybe(texts)),
        restriction=draw(texts if scope is Scope.RESTRICTED else maybe(texts)),
        addresses=draw(few(items, 1 if scope is Scope.PRIVATE else 0)),
        code=draw(few(texts)),
        note=draw(maybe(texts)),
        references=draw(few(references, 0 if msg_type is MsgType.ALERT else 1)),
        incidents=draw(few(items)),
        infos=draw(few(infos)),
    )


@settings(deadline=None, max_examples=300)
@given(alerts())
def test_every_alert_reads_back_equal_from_xml(alert: Alert) -> None:
    parsed = parse_xml(encode_xml(alert))
    assert parsed.alert == alert
    assert parsed.notes == ()
    assert parsed.alert.sent.utcoffset() == alert.sent.utcoffset()


@settings(deadline=None, max_examples=300)
@given(alerts())
def test_every_alert_reads_back_equal_from_json(alert: Alert) -> None:
    assert parse_json(encode_json(alert)) == alert
    assert parse_json(json.dumps(to_builtins(alert)).encode()) == alert


@settings(deadline=None, max_examples=100)
@given(alerts())
def test_from_form_to_form_nothing_is_lost(alert: Alert) -> None:
    assert parse_xml(encode_xml(parse_json(encode_json(alert)))).alert == alert


ALERT = Alert(
    identifier="A",
    sender="s@example",
    sent=datetime(2026, 11, 5, 6, tzinfo=UTC),
    status=Status.ACTUAL,
    msg_type=MsgType.ALERT,
    scope=Scope.PUBLIC,
    infos=(
        Info(
            category=(Category.MET,),
            event="e",
            urgency=Urgency.IMMEDIATE,
            severity=Severity.MINOR,
            certainty=Certainty.LIKELY,
            area=(Area(area_desc="d"),),
        ),
    ),
)
INFO = ALERT.infos[0]
AREA = INFO.area[0]
SQUARE = tuple(Point(lat=lat, lon=lon) for lat, lon in ((0, 0), (0, 1), (1, 1), (0, 0)))


def with_info(**changes: object) -> Alert:
    return replace(ALERT, infos=(INFO, replace(INFO, **changes)))  # type: ignore[arg-type]


def with_area(**changes: object) -> Alert:
    return with_info(area=(replace(AREA, **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("alert", "reason", "field"),
    [
        (replace(ALERT, identifier="a b"), RejectReason.INVALID_VALUE, "identifier"),
        (replace(ALERT, sender="a,b"), RejectReason.INVALID_VALUE, "sender"),
        (replace(ALERT, sent=ALERT.sent.replace(tzinfo=None)), RejectReason.INVALID_VALUE, "sent"),
        (replace(ALERT, sent=ALERT.sent.replace(microsecond=1)), RejectReason.INVALID_VALUE, "sent"),
        (
            replace(ALERT, sent=ALERT.sent.astimezone(timezone(timedelta(seconds=29143)))),
            RejectReason.INVALID_VALUE,
            "sent",
        ),
        (
            replace(ALERT, sent=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))),
            RejectReason.INVALID_VALUE,
            "sent",
        ),
        (replace(ALERT, note=" "), RejectReason.INVALID_VALUE, "note"),
        (replace(ALERT, code=("ok", "")), RejectReason.INVALID_VALUE, "code[1]"),
        (replace(ALERT, addresses=("ok", 'a"b')), RejectReason.INVALID_VALUE, "addresses[1]"),
        (replace(ALERT, scope=Scope.PRIVATE), RejectReason.MISSING, "addresses"),
        (replace(ALERT, scope=Scope.RESTRICTED), RejectReason.MISSING, "restriction"),
        (replace(ALERT, msg_type=MsgType.UPDATE), RejectReason.MISSING, "references"),
        (
            replace(ALERT, references=(ALERT.reference, replace(ALERT.reference, sender=""))),
            RejectReason.INVALID_VALUE,
            "references[1]",
        ),
        (with_info(category=()), RejectReason.MISSING, "info[1].category"),
        (with_info(language="zh_CN"), RejectReason.INVALID_VALUE, "info[1].language"),
        (with_info(headline="bell\a"), RejectReason.INVALID_VALUE, "info[1].headline"),
        (with_info(headline="\ud800"), RejectReason.INVALID_VALUE, "info[1].headline"),
        (with_info(web=" x"), RejectReason.INVALID_VALUE, "info[1].web"),
        (
            with_info(parameter=(NamedValue(name="", value="x"),)),
            RejectReason.INVALID_VALUE,
            "info[1].parameter[0].valueName",
        ),
        (
            with_info(resource=(Resource(resource_desc="", mime_type="a/b", size=-1),)),
            RejectReason.INVALID_VALUE,
            "info[1].resource[0].size",
        ),
        (with_area(area_desc=""), RejectReason.INVALID_VALUE, "info[1].area[0].areaDesc"),
        (with_area(polygons=(SQUARE, SQUARE[:3])), RejectReason.INVALID_VALUE, "info[1].area[0].polygon[1]"),
        (with_area(polygons=(SQUARE[:3] * 2,)), RejectReason.INVALID_VALUE, "info[1].area[0].polygon[0]"),
        (
            with_area(polygons=((Point(lat=112.9, lon=28.1),) * 4,)),
            RejectReason.INVALID_VALUE,
            "info[1].area[0].polygon[0]",
        ),
        (
            with_area(circles=(Circle(centre=SQUARE[0], radius_km=-1),)),
            RejectReason.INVALID_VALUE,
            "info[1].area[0].circle[0]",
        ),
        (
            with_area(circles=(Circle(centre=SQUARE[0], radius_km=float("nan")),)),
            RejectReason.INVALID_VALUE,
            "info[1].area[0].circle[0]",
        ),
        (with_area(altitude=float("inf")), RejectReason.INVALID_VALUE, "info[1].area[0].altitude"),
        (with_area(ceiling=3.0), RejectReason.MISSING, "info[1].area[0].altitude"),
        (with_info(description="x" * LARGEST_MESSAGE), RejectReason.TOO_LARGE, None),
    ],
)
def test_what_cap_cannot_carry_is_never_written(alert: Alert, reason: RejectReason, field: str | None) -> None:
    for encode in (encode_xml, encode_json):
        with pytest.raises(AlertRejected) as caught:
            encode(alert)
        assert (caught.value.reason, caught.value.field) == (reason, field)


CONTROLS = [*map(chr, (*range(9), 0x0B, 0x0C, *range(0x0E, 0x20), *range(0x7F, 0xA0))), "\ufffe", "\uffff"]


@pytest.mark.parametrize("control", CONTROLS, ids=lambda c: f"{ord(c):04X}")
def test_control_characters_are_refused_in_both_directions(control: str) -> None:
    with pytest.raises(AlertRejected):
        encode_xml(with_info(event=f"a{control}b"))
    data = json.loads(encode_json(ALERT)) | {"note": f"a{control}b"}
    with pytest.raises(AlertRejected) as caught:
        parse_json(json.dumps(data).encode())
    assert caught.value.field == "note"
