"""Where an alert is meant survives CAP, JSON and the text that people write."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
    Scope,
    Severity,
    Status,
    Urgency,
)
from broadcast_core.plan import (
    Expression,
    areas_of,
    expression_of,
    format_area,
    from_builtins,
    parse_area,
    parse_areas,
    to_builtins,
)


def alert(*areas_of_infos: tuple[Area, ...]) -> Alert:
    infos = tuple(
        Info(
            category=(Category.MET,),
            event="暴雨",
            urgency=Urgency.IMMEDIATE,
            severity=Severity.SEVERE,
            certainty=Certainty.OBSERVED,
            area=areas,
        )
        for areas in areas_of_infos
    )
    return Alert(
        identifier="1",
        sender="s",
        sent=datetime(2026, 11, 23, tzinfo=UTC),
        status=Status.ACTUAL,
        msg_type=MsgType.ALERT,
        scope=Scope.PUBLIC,
        infos=infos,
    )


def geocoded(*pairs: tuple[str, str]) -> Area:
    return Area(area_desc="x", geocodes=tuple(NamedValue(name=name, value=value) for name, value in pairs))


points = st.builds(Point, lat=st.floats(-90, 90), lon=st.floats(-180, 180))
corners = st.builds(Point, lat=st.floats(-90, 90), lon=st.floats(-90, 90))  # no edge wider than half the Earth
rings = st.lists(corners, min_size=3, max_size=6).map(lambda ring: (*ring, ring[0]))
codes = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)


def several(items: st.SearchStrategy[object]) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(items, max_size=3, unique=True).map(tuple)


expressions = st.builds(
    Expression,
    zones=several(codes),
    polygons=several(rings),
    circles=several(st.builds(Circle, centre=points, radius_km=st.floats(0, 20_000))),
    endpoints=several(codes),
    excluded=several(codes),
)


@settings(deadline=None)
@given(expressions)
def test_an_expression_survives_cap_json_and_text(expression: Expression) -> None:
    assert expression_of(alert(areas_of(expression))) == expression
    assert from_builtins(json.loads(json.dumps(to_builtins(expression)))) == expression
    if expression != Expression():
        assert parse_area(format_area(expression), "D") == expression


def test_all_areas_of_all_infos_count_once() -> None:
    circle = Circle(centre=Point(lat=28, lon=113), radius_km=1)
    chinese = (geocoded(("tocsin:zone", "N1"), ("tocsin:exclude", "SPK-1")), Area(area_desc="y", circles=(circle,)))
    english = (geocoded(("tocsin:zone", "N1"), ("tocsin:endpoint", "SPK-4"), ("SAME", "006113")),)
    assert expression_of(alert(chinese, english)) == Expression(
        zones=("N1",),
        circles=(circle,),
        endpoints=("SPK-4",),
        excluded=("SPK-1",),
        foreign=(NamedValue(name="SAME", value="006113"),),
    )


def test_an_alert_without_areas_says_nothing() -> None:
    assert expression_of(alert((), ())) == Expression()
    assert not Expression(excluded=("N1",)).says_where


def test_an_area_describes_itself_unless_it_is_described() -> None:
    (area,) = areas_of(Expression(zones=("N1",), excluded=("SPK-1",)))
    assert area.area_desc == "zone:N1; exclude:SPK-1"
    assert areas_of(Expression(zones=("N1",)), "北一社区")[0].area_desc == "北一社区"


def test_people_can_write_areas_as_they_type() -> None:
    triangle = (Point(lat=28.2, lon=112.9), Point(lat=28.2, lon=113), Point(lat=28.1, lon=113))
    assert parse_area("polygon:28.2,112.9 28.2,113 28.1,113", "D").polygons == ((*triangle, triangle[0]),)
    assert parse_area("circle: 28.15,112.97 2.5", "D").circles == (
        Circle(centre=Point(lat=28.15, lon=112.97), radius_km=2.5),
    )
    assert parse_area("ｚｏｎｅ：Ｎ１；exclude:SPK-1\n Endpoint:SPK-4 ;", "D") == Expression(
        zones=("N1",), excluded=("SPK-1",), endpoints=("SPK-4",)
    )
    assert parse_areas(["zone:N1", "zone:N2", "zone:N1"], "D") == Expression(zones=("N1", "N2"))


def test_the_district_is_said_in_so_many_words() -> None:
    assert parse_area("District", "430103") == Expression(zones=("430103",))


WRONG = {
    "": RejectReason.NO_AREA,
    " ; \n": RejectReason.NO_AREA,
    "everywhere": RejectReason.INVALID_VALUE,
    "N1": RejectReason.INVALID_VALUE,
    "zone:": RejectReason.INVALID_VALUE,
    "all:yes": RejectReason.INVALID_VALUE,
    "polygon:28,113 29,113": RejectReason.INVALID_VALUE,
    "polygon:28,113 29,113 29": RejectReason.INVALID_VALUE,
    "polygon:28,113 29,113 91,114": RejectReason.INVALID_VALUE,
    "circle:28,113": RejectReason.INVALID_VALUE,
    "circle:28,113 -1": RejectReason.INVALID_VALUE,
    "circle:28,113 1e9": RejectReason.INVALID_VALUE,
    "circle:28,181 1": RejectReason.INVALID_VALUE,
    "circle:nan,113 1": RejectReason.INVALID_VALUE,
    "zone:x;" * 20_000: RejectReason.TOO_LARGE,
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30] or "nothing")
def test_a_text_that_says_nothing_or_nonsense_is_refused(text: str) -> None:
    with pytest.raises(AlertRejected) as refused:
        parse_area(text, "D")
    assert refused.value.reason is WRONG[text]


NOT_AN_EXPRESSION = [
    None,
    [],
    {"zone": "N1"},
    {"zones": "N1"},
    {"zones": [1]},
    {"polygons": [[{"lat": 1, "lon": 2}]]},
    {"circles": [{"centre": {"lat": 1}, "radius_km": 1}]},
    {"circles": [{"centre": {"lat": 1, "lon": 2}, "radius_km": -1}]},
]


@pytest.mark.parametrize("value", NOT_AN_EXPRESSION, ids=str)
def test_json_that_is_no_expression_is_refused(value: object) -> None:
    with pytest.raises(AlertRejected):
        from_builtins(value)


def test_json_may_leave_out_what_is_empty() -> None:
    assert from_builtins({"zones": ["N1"]}) == Expression(zones=("N1",))


def test_a_polygon_over_the_antimeridian_is_refused_not_read_round_the_other_side() -> None:
    strip = tuple(Point(lat=lat, lon=lon) for lat, lon in ((28, 179), (28, -179), (29, -179), (29, 179), (28, 179)))
    with pytest.raises(AlertRejected) as refused:
        expression_of(alert((Area(area_desc="x", polygons=(strip,)),)))
    assert (refused.value.reason, refused.value.field) == (RejectReason.INVALID_VALUE, "area.polygon[0]")
