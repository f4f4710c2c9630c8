"""The CSV form: what goes out comes back equal, what spreadsheets do to it is forgiven, what is wrong is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcast_core.errors import RegistryRejected, RejectReason, RowError
from broadcast_core.model import Channel, Endpoint, Point
from broadcast_core.registry import ImportMode, Registry, csv_file, sheet
from broadcast_core.registry.dataset import default_registry
from broadcast_core.registry.sheet import combine

HEADER = "kind,id,zone,name,name_en,lat,lon,phone,serial_line,unit,coil,language,simulated,enabled"
DISTRICT = "district,D,,某区,Some District"


def imported(text: str | bytes, current: Registry | None = None, mode: ImportMode = ImportMode.MERGE) -> Registry:
    data = text.encode() if isinstance(text, str) else text
    return combine(current or Registry(), csv_file.parse(data), mode)


def refused(
    text: str | bytes, current: Registry | None = None, mode: ImportMode = ImportMode.MERGE
) -> list[RowError]:
    with pytest.raises(RegistryRejected) as caught:
        imported(text, current, mode)
    return list(caught.value.rows)


def rows(*lines: str) -> str:
    return "\n".join((HEADER, DISTRICT, *lines))


def test_importing_the_export_gives_an_equal_registry(small: Registry) -> None:
    for registry in (small, default_registry()):
        exported = csv_file.encode(registry, with_phones=True)
        assert imported(exported) == registry
        assert imported(exported, registry) == registry
        assert imported(exported, registry, ImportMode.REPLACE) == registry


names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=30)
risky = st.sampled_from(["", "=", "+", "-", "@", "'", "''=", "'-"])


@settings(deadline=None)
@given(names=st.lists(st.builds(str.__add__, risky, names), min_size=1, max_size=5, unique=True), data=st.data())
def test_any_name_and_any_position_survive_the_way_out_and_back(names: list[str], data: st.DataObject) -> None:
    positions = st.none() | st.builds(Point, lat=st.floats(-90, 90), lon=st.floats(-180, 180))
    endpoints = [
        Endpoint(id=f"S{i}", channel=Channel.SPEAKER, zone="D", name=name, position=data.draw(positions))
        for i, name in enumerate(names)
    ]
    registry = Registry(imported(rows()).zones.values(), endpoints)
    assert imported(csv_file.encode(registry)) == registry


def test_no_cell_of_an_export_is_a_formula(small: Registry) -> None:
    sly = replace(small.endpoint("SPK-1"), name='=HYPERLINK("http://example.invalid")')
    text = csv_file.encode(Registry(small.zones.values(), [sly, small.endpoint("SMS-1")]), with_phones=True).decode()
    cells = [cell.strip('"') for line in text.splitlines() for cell in line.split(",")]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    assert "'+9990000000001" in cells


def test_phones_leave_only_when_asked_for_and_a_file_without_them_cannot_come_back(small: Registry) -> None:
    exported = csv_file.encode(small)
    assert b"+999" not in exported
    errors = refused(exported, small)
    assert [(e.field, e.reason) for e in errors] == [("phone", RejectReason.INVALID_VALUE)]
    assert "without phone numbers" in str(errors[0].sentence)


def test_what_a_spreadsheet_leaves_behind_is_forgiven() -> None:
    text = (
        "\ufeffKIND ;ｉｄ; zone;name;name_en;lat;lon;phone;simulated;;\r\n"
        "district;D;;　某 区 ;;;;;;;\r\n"
        ";;;;;;;;;;\r\n"
        " ＳＭＳ ;SMS-1;Ｄ;王 五;;２８．１;112.9;＋86 138-0013 8000;FALSE;;\r\n"
    )
    registry = imported(text)
    assert registry.root.name_zh == registry.root.name_en == "某 区"
    recipient = registry.endpoint("SMS-1")
    assert (recipient.phone, recipient.position) == ("+8613800138000", Point(lat=28.1, lon=112.9))
    assert (recipient.zone, recipient.name, recipient.simulated, recipient.enabled) == ("D", "王 五", False, True)


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_may_end_in_any_way(line_end: str) -> None:
    text = line_end.join((HEADER, DISTRICT, 'speaker,SPK-1,D,"a, b"'))
    assert imported(text).endpoint("SPK-1").name == "a, b"


def test_every_bad_row_is_refused_with_its_line_its_field_and_its_reason() -> None:
    errors = refused(
        rows(
            "siren,X,D,x",
            "speaker,SPK-1,E,x",
            "speaker,SPK-2,D,x,,28.1",
            "speaker,SPK-3,D,x,,north,112.9",
            "speaker,SPK-4,D,x,,91,112.9",
            "speaker,SPK-5,D,x,,,,+8613800138000",
            "speaker,SPK-5,D,",
            "speaker,SPK-5,D,x",
            "sms,SMS-1,D,x",
            "sms,SMS-2,D,x,,,,13800138000",
            "horn,HRN-1,D,x,,,,,line-1,1,0",
            "horn,HRN-2,D,x,,,,,line-1,1,0",
            "horn,HRN-3,D,x,,,,,line-1,248,1",
            "horn,HRN-4,D,x,,,,,line-1,one,",
            "speaker,SPK-6,D,x,,,,,,,,,perhaps",
            'speaker,SPK-7,D,"x',
            "speaker,SPK-8,D,x,,,,,,,,,,,more",
            f"speaker,SPK-9,D,{'x' * 201}",
            f"speaker,SPK-10,D,{'x' * 1001}",
            "speaker,S/+,D,x",
            "sms,SMS-3,D,x,,,,+8613800138001,,,,zh_CN",
        )
    )
    assert {(e.line, e.field, e.reason) for e in errors} == {
        (3, "kind", RejectReason.INVALID_VALUE),
        (4, "zone", RejectReason.UNKNOWN_AREA),
        (5, "lon", RejectReason.MISSING),
        (6, "lat", RejectReason.INVALID_VALUE),
        (7, "lat", RejectReason.INVALID_VALUE),
        (8, "phone", RejectReason.INVALID_VALUE),
        (9, "name", RejectReason.MISSING),
        (10, "id", RejectReason.DUPLICATE_ELEMENT),
        (11, "phone", RejectReason.MISSING),
        (12, "phone", RejectReason.INVALID_VALUE),
        (14, "coil", RejectReason.DUPLICATE_ELEMENT),
        (15, "unit", RejectReason.INVALID_VALUE),
        (16, "unit", RejectReason.INVALID_VALUE),
        (16, "coil", RejectReason.MISSING),
        (17, "simulated", RejectReason.INVALID_VALUE),
        (18, "row", RejectReason.MALFORMED),
        (19, "row", RejectReason.MALFORMED),
        (20, "name", RejectReason.TOO_LARGE),
        (21, "name", RejectReason.TOO_LARGE),
        (22, "id", RejectReason.INVALID_VALUE),
        (23, "language", RejectReason.INVALID_VALUE),
    }
    assert [e.line for e in errors] == sorted(e.line for e in errors)


def test_a_refused_zone_does_not_make_its_endpoints_wrong() -> None:
    errors = refused(rows("subdistrict,N,D,", "community,N1,N,x", "speaker,SPK-1,N,x", "subdistrict,N2,D,x,,1,2"))
    assert [(e.line, e.field) for e in errors] == [(3, "name"), (6, "lat"), (6, "lon")]


HEADERS = {
    "kind,id,zone,name,colour": ("colour", RejectReason.UNKNOWN_ELEMENT),
    "kind,id,zone,name,name": ("name", RejectReason.DUPLICATE_ELEMENT),
    "kind,id,name": ("zone", RejectReason.MISSING),
    "": ("kind", RejectReason.MISSING),
    '"kind': ("kind", RejectReason.MISSING),
}


@pytest.mark.parametrize("header", HEADERS)
def test_a_wrong_header_is_refused(header: str) -> None:
    assert HEADERS[header] in {(e.field, e.reason) for e in refused(header) if e.line == 1}


def test_a_file_that_is_not_utf8_is_refused_with_its_line() -> None:
    errors = refused(rows("speaker,SPK-1,D,喇叭").encode() + "\nspeaker,SPK-2,D,喇叭".encode("gbk"))
    assert [(e.line, e.reason) for e in errors] == [(4, RejectReason.MALFORMED)]


def test_a_file_with_nothing_in_it_changes_nothing(small: Registry) -> None:
    for mode in ImportMode:
        assert [e.reason for e in refused(HEADER, small, mode)] == [RejectReason.MISSING]


def test_size_is_bounded_in_bytes_rows_cells_and_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    too_large = RejectReason.TOO_LARGE
    assert [e.reason for e in refused(HEADER + "\n" + "," * 100_000)] == [too_large]
    errors = refused(rows(*("siren,X,D,x" for _ in range(3000))))
    assert len(errors) == sheet.MOST_ERRORS + 1
    assert errors[-1].reason is too_large
    errors = refused(rows(*("speaker,SPK-1,D,x" for _ in range(3000))))
    assert len(errors) == sheet.MOST_ERRORS + 1
    errors = refused(rows(*('"' for _ in range(3000))))
    assert (len(errors), errors[-1].reason) == (sheet.MOST_ERRORS + 1, too_large)
    assert [e.reason for e in refused(HEADER + "\n" * 2_000_000)] == [too_large]
    monkeypatch.setattr(sheet, "MOST_ROWS", 10)
    assert [(e.line, e.reason) for e in refused(rows(*("speaker,S,D,x" for _ in range(10))))] == [(12, too_large)]
    monkeypatch.setattr(sheet, "MOST_BYTES", 100)
    assert [e.reason for e in refused(rows())] == [too_large]


def test_merging_keeps_what_the_file_does_not_name_and_replacing_does_not(small: Registry) -> None:
    merged = imported("kind,id,zone,name\nspeaker,SPK-4,N1,moved\nspeaker,SPK-5,S1,new", small)
    assert set(merged.endpoints) == {*small.endpoints, "SPK-5"}
    assert merged.endpoint("SPK-4").zone == "N1"
    replaced = imported(rows("speaker,SPK-4,D,x"), small, ImportMode.REPLACE)
    assert (set(replaced.zones), set(replaced.endpoints)) == ({"D"}, {"SPK-4"})


def test_a_clash_with_what_is_registered_is_the_files_fault(small: Registry) -> None:
    text = "kind,id,zone,name,phone\nsms,SMS-9,N1,x,+9990000000001\ncommunity,SPK-1,N,x,"
    assert {(e.line, e.field) for e in refused(text, small)} == {(2, "phone"), (3, "id")}


def test_horns_can_swap_their_coils(small: Registry) -> None:
    both = "kind,id,zone,name,serial_line,unit,coil\nhorn,HRN-1,N2,x,line-1,1,{}\nhorn,HRN-2,N2,x,line-1,1,{}"
    first = imported(both.format(0, 1), small)
    second = imported(both.format(1, 0), first)
    assert [second.endpoint(h).coil.coil for h in ("HRN-1", "HRN-2") if second.endpoint(h).coil] == [1, 0]


def test_the_example_in_the_documentation_is_importable() -> None:
    page = Path(__file__).parents[3] / "docs" / "registry.md"
    example = page.read_text(encoding="utf-8").partition("```csv\n")[2].partition("```")[0]
    registry = imported(example)
    assert (len(registry.zones), len(registry.endpoints)) == (2, 3)
    assert registry.endpoint("SMS-0001").phone == "+8613800138000"
