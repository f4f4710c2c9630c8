"""`tocsin schedule`, `playlist`, `kindness`, `calendar` and `report plays` against a core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from sqlalchemy import insert

from broadcast_core.store.schema import media_item

DAY = "2026-12-03"  # a Thursday
SLOT = ("--zones", "N", "--at", "07:30", "--for", "30m", "--playlist", "p")
THEIRS = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//Somebody//Else//EN
BEGIN:VEVENT
UID:exercise@school.example
DTSTAMP:20261101T000000Z
DTSTART;TZID=Asia/Shanghai:20261130T100000
DURATION:PT30M
RRULE:FREQ=WEEKLY;BYDAY=MO,TH
SUMMARY:课间操
END:VEVENT
END:VCALENDAR
""".replace("\n", "\r\n")


@pytest.fixture(autouse=True)
def playlist(town: Any) -> None:
    town.run("playlist", "add", "p", "news", "--name", "早间播报")


@pytest.mark.parametrize(
    ("every", "rule"),
    [
        ("daily", {"rule": "daily"}),
        ("work", {"rule": "calendar", "kind": "work"}),
        ("rest", {"rule": "calendar", "kind": "rest"}),
        ("weekdays", {"rule": "weekly", "days": [0, 1, 2, 3, 4]}),
        ("mon,Thu", {"rule": "weekly", "days": [0, 3]}),
        ("date:2026-12-03, 2026-12-24", {"rule": "dates", "dates": ["2026-12-03", "2026-12-24"]}),
        ("yearly:11-01", {"rule": "yearly", "month": 11, "day": 1}),
        ("festival:spring", {"rule": "festivals", "names": ["spring"]}),
    ],
)
def test_a_slot_from_options_says_when(town: Any, every: str, rule: dict[str, Any]) -> None:
    if rule["rule"] == "festivals":
        from scheduler.festivals import festivals

        name = next(iter(festivals()))
        every, rule = f"festival:{name}", {"rule": "festivals", "names": [name]}
    town.run("schedule", "add", "s", *SLOT, "--every", every)
    found = town.json("schedule", "show", "s")
    assert {name: found["recurrence"][name] for name in rule} == rule
    assert (found["start"], found["length_s"], found["zones"], found["volume"]) == ("07:30:00", 1800.0, ["N"], 60)


def test_a_cron_has_its_own_times(town: Any) -> None:
    town.run(
        "schedule", "add", "s", "--zones", "N,S", "--for", "30m", "--playlist", "p", "--every", "cron:0 12,17 * * *"
    )
    found = town.json("schedule", "show", "s")
    assert (found["start"], found["recurrence"]["expression"], found["zones"]) == (None, "0 12,17 * * *", ["N", "S"])
    starts = [s["starts_at"] for s in town.json("schedule", "preview", "S1", "--date", DAY)["segments"]]
    assert starts == [f"{DAY}T04:00:00Z", f"{DAY}T09:00:00Z"]


def test_every_side_of_a_slot_can_be_said(town: Any) -> None:
    more = (
        "--name", "Morning", "--from", "2026-12-01", "--until", "2026-12-31", "--without", "2026-12-25",
        "--also", "2027-01-01", "--volume", "40", "--authority", "city", "--late", "skip", "--grace", "2m",
        "--fill", "repeat", "--overrun", "cut", "--disabled",
    )  # fmt: skip
    town.run("schedule", "add", "s", *SLOT, *more)
    found = town.json("schedule", "show", "s")
    wanted = {
        "name": "Morning", "volume": 40, "authority": "city", "late": "skip", "grace_s": 120.0, "fill": "repeat",
        "overrun": "cut", "enabled": False,
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    bounds = {"first": "2026-12-01", "last": "2026-12-31", "without": ["2026-12-25"], "also": ["2027-01-01"]}
    assert {name: found["recurrence"][name] for name in bounds} == bounds


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("--every", "sometimes"), "→ --every"),
        (("--every", "date:tomorrow"), "→ --every"),
        (("--every", "yearly:autumn"), "→ --every"),
        (("--every", "cron:* * * * *"), "→ slots.s"),
        (("--from", "soon"), "→ --from"),
        (("--without", "2026-02-30"), "→ --without"),
        (("--for", "long"), "90s, 10m"),
        (("--for", "1m"), "→ slots.s.length"),
        (("--at", "25:00"), "→ --at"),
        (("--zones", "nowhere"), "→ slots.s.zones"),
        (("--playlist", "q"), "→ slots.s.playlist"),
        (("--authority", "king"), "→ slot.authority"),
        (("--volume", "0"), "--volume"),
    ],
)
def test_a_mistake_is_a_sentence_with_the_field_and_saves_nothing(
    town: Any, change: tuple[str, ...], said: str
) -> None:
    zones = ("--zones", "N") if change[0] != "--zones" else ()
    others = tuple(word for pair in zip(SLOT[2::2], SLOT[3::2], strict=True) for word in pair if pair[0] != change[0])
    code = 1 if change[0] == "--playlist" else 2  # what is not there is 404
    for language in ("en", "zh"):
        refused = town.run("schedule", "add", "s", *zones, *others, *change, code=code, language=language)
        assert refused.stdout == ""
        assert said.replace("90s, 10m", "90s") in refused.stderr
    assert town.json("schedule", "list")["slots"] == []


def test_what_is_there_is_changed_only_when_that_is_said(town: Any) -> None:
    town.run("schedule", "add", "s", *SLOT)
    refused = town.run("schedule", "add", "s", *SLOT, "--volume", "1", code=2)
    assert "--replace" in refused.stderr
    assert "--replace" in town.run("playlist", "add", "p", "music", code=2).stderr
    town.run("schedule", "add", "s", *SLOT, "--volume", "1", "--replace")
    assert town.json("schedule", "show", "s")["volume"] == 1
    town.run("schedule", "remove", "s")
    assert "tocsin schedule list" in town.run("schedule", "show", "s", code=1).stderr
    assert "tocsin schedule list" in town.run("schedule", "remove", "s", code=1).stderr


@pytest.mark.parametrize("form", ["toml", "json"])
def test_a_file_has_playlists_and_slots(town: Any, tmp_path: Path, form: str) -> None:
    file = tmp_path / f"slots.{form}"
    if form == "toml":
        file.write_text(
            '[[playlists]]\nid = "q"\nname = "Q"\nitems = ["music"]\n'
            '[[slots]]\nid = "a"\nname = "A"\nzones = ["N"]\nstart = 08:00:00\nlength_s = 1800\nplaylist = "q"\n'
            'volume = 60\nrecurrence = { rule = "dates", dates = [2026-12-03] }\n'
        )
    else:
        slot = {
            "id": "a", "name": "A", "zones": ["N"], "start": "08:00", "length_s": 1800, "playlist": "q", "volume": 60,
            "recurrence": {"rule": "dates", "dates": ["2026-12-03"]},
        }  # fmt: skip
        playlist = {"id": "q", "name": "Q", "items": ["music"]}
        file.write_text(json.dumps({"playlists": [playlist], "slots": [slot]}))
    saved = town.json("schedule", "add", "--file", str(file))["saved"]
    assert [(one["kind"], one["id"]) for one in saved] == [("playlist", "q"), ("slot", "a")]
    assert town.json("schedule", "show", "a")["recurrence"]["dates"] == ["2026-12-03"]


@pytest.mark.parametrize("text", ["[[slots]]\nname = 1", "slots = 7", "[[slotz]]\nid='a'\n[[slots]]\nid='b'", "="])
def test_a_file_that_is_none_is_refused_before_anything_is_saved(town: Any, tmp_path: Path, text: str) -> None:
    file = tmp_path / "slots.toml"
    file.write_text(text)
    refused = town.run("schedule", "add", "--file", str(file), code=2)
    assert "Traceback" not in refused.stderr
    assert refused.stderr
    assert town.json("schedule", "list")["slots"] == []


def test_options_beside_a_file_are_refused_not_ignored(town: Any, tmp_path: Path) -> None:
    file = tmp_path / "slots.toml"
    file.write_text('[[playlists]]\nid = "q"\nname = "Q"\nitems = ["music"]\n')
    refused = town.run("schedule", "add", "--file", str(file), "--volume", "30", "--disabled", code=2)
    assert "--volume, --disabled" in refused.stderr
    assert [one["id"] for one in town.json("playlist", "list")["items"]] == ["p"]
    town.run("schedule", "add", "--file", str(file), "--replace")


def test_what_is_listed_is_a_file_that_can_be_added(town: Any, tmp_path: Path) -> None:
    town.run("schedule", "add", "s", *SLOT, "--every", "mon,thu", "--until", "2026-12-31")
    before = town.json("schedule", "list")
    file = tmp_path / "all.json"
    file.write_text(json.dumps(before))
    town.run("schedule", "remove", "s")
    town.run("playlist", "remove", "p")
    town.run("schedule", "add", "--file", str(file))
    assert town.json("schedule", "list") == before


@pytest.mark.parametrize("wrong", ["q q", "早间", "q/q", ".q"])
def test_a_playlist_is_named_as_a_slot_is(town: Any, wrong: str) -> None:
    refused = town.run("playlist", "add", wrong, "news", code=2)
    assert "letters, digits" in refused.stderr
    assert "letters, digits" in town.run("schedule", "add", wrong, *SLOT, code=2).stderr
    assert [one["id"] for one in town.json("playlist", "list")["items"]] == ["p"]


@pytest.mark.parametrize(("said", "meant"), [("7:30", "07:30:00"), ("19：05", "19:05:00"), ("0630", "06:30:00")])
def test_a_time_of_day_is_read_as_people_write_it(town: Any, said: str, meant: str) -> None:
    town.run("schedule", "add", "s", *SLOT, "--at", said)
    assert town.json("schedule", "show", "s")["start"] == meant


def test_items_are_shown_with_their_titles(town: Any) -> None:
    title(town, "news", "早间[/b]新闻")  # as it is, also where it looks like markup
    town.run("schedule", "add", "s", *SLOT, "--every", "work")
    assert "1  news  早间[/b]新闻" in town.run("playlist", "show", "p").stdout
    drawn = town.run("schedule", "preview", "N1", "--date", DAY).stdout
    assert "news 早间[/b]新闻" in drawn
    assert "working day" in drawn.splitlines()[0]
    rests = town.run("schedule", "preview", "N1", "--date", "2026-10-01", language="zh").stdout
    assert "休息日 国庆节" in rests.splitlines()[0]


def title(town: Any, item: str, name: str) -> None:
    """Give an item of the schedule its row in the library."""
    row = {"kind": "audio", "sha256": "0", "source_sha256": item, "size": 1, "mime_type": "audio/mpeg",
           "duration_ms": 1, "lufs": -16.0, "true_peak_dbtp": -1.5, "waveform": b"", "texts": "[]", "notes": "[]",
           "uploader": "a", "licence": "", "resume": "position", "created_at": 1}  # fmt: skip
    town.do(
        town.core.services.store.write(lambda c: c.execute(insert(media_item).values(id=item, title=name, **row)))
    )


def test_a_day_is_drawn_with_what_plays_what_is_held_and_who_wins(town: Any) -> None:
    town.run("schedule", "add", "m", *SLOT, "--name", "Morning")
    town.run("schedule", "add", "late", *SLOT, "--at", "21:30", "--name", "Night")
    over = town.run("schedule", "add", "t", *SLOT, "--at", "07:35", "--name", "Town")
    assert "Morning" in over.stderr
    for language in ("en", "zh"):
        drawn = town.run("schedule", "preview", "N1", "--date", DAY, language=language).stdout
        lines = drawn.splitlines()
        assert max(cell_len(line) for line in lines) <= 80
        line = lines[2]
        assert len(line) == 72
        assert line[22] == "█"  # 07:20 to 07:40
        assert line[64] == "░"  # 21:20 to 21:40
        assert line[12] == "·"
        assert {"en": "does not sound: Quiet hours.", "zh": "不播放：静音时间。"}[language] in drawn
        conflict = next(line for line in lines if line.startswith("!"))
        assert ("Morning" in conflict, "Town" in conflict) == (True, True)
    assert "Nothing plays" in town.run("schedule", "preview", "S1", "--date", DAY).stdout
    assert "nowhere" in town.run("schedule", "preview", "nowhere", code=1).stderr
    checked = town.run("schedule", "check")
    assert "Town" in checked.stdout


def test_a_draft_is_previewed_and_not_saved(town: Any, tmp_path: Path) -> None:
    file = tmp_path / "draft.toml"
    file.write_text(
        'id = "d"\nname = "Draft"\nzones = ["N"]\nstart = "08:00"\nlength_s = 1800\nplaylist = "p"\nvolume = 60\n'
        'recurrence = { rule = "daily" }\n'
    )
    assert "Draft" in town.run("schedule", "preview", "N1", "--date", DAY, "--with", str(file)).stdout
    assert town.json("schedule", "list")["slots"] == []


def test_the_schedule_goes_out_as_a_calendar_and_comes_back(town: Any, tmp_path: Path) -> None:
    town.run("schedule", "add", "s", *SLOT, "--every", "work")
    before = town.json("schedule", "show", "s")
    file = tmp_path / "schedule.ics"
    town.run("schedule", "export", "--out", str(file))
    assert town.run("schedule", "export").stdout.startswith("BEGIN:VCALENDAR")
    town.run("schedule", "remove", "s")
    assert "would be saved" in town.run("schedule", "import", str(file), "--dry-run").stdout
    assert town.json("schedule", "list")["slots"] == []
    assert town.json("schedule", "import", str(file))["saved"] == ["s"]
    assert town.json("schedule", "show", "s") == before


def test_events_of_others_need_zones_and_a_playlist(town: Any, tmp_path: Path) -> None:
    file = tmp_path / "theirs.ics"
    file.write_bytes(THEIRS.encode())
    shown = town.run("schedule", "import", str(file), code=1)
    assert ("课间操" in shown.stdout, "--playlist" in shown.stdout) == (True, True)
    assert town.json("schedule", "list")["slots"] == []
    half = town.run("schedule", "import", str(file), "--zones", "N", code=2)
    assert "query.playlist" in half.stderr
    town.run("schedule", "import", "-", "--zones", "N1,S", "--playlist", "p", "--volume", "30", given=THEIRS.encode())
    (slot,) = town.json("schedule", "list")["slots"]
    assert (slot["name"], slot["zones"], slot["volume"]) == ("课间操", ["N1", "S"], 30)
    file.write_text("not a calendar")
    assert town.run("schedule", "import", str(file), code=2).stdout == ""


def test_playlists_are_listed_with_their_users_and_stay_while_they_are_used(town: Any) -> None:
    town.run("playlist", "add", "q", "music", "news", "--shuffled", "--gap", "2s", "--chime", "news")
    town.run("schedule", "add", "s", *SLOT)
    found = town.json("playlist", "show", "q")
    assert (found["items"], found["order"], found["gap_s"], found["chime"]) == (
        ["music", "news"],
        "shuffled",
        2.0,
        "news",
    )
    assert "s" in town.run("playlist", "show", "p").stdout.splitlines()[-1]
    assert [one["id"] for one in town.json("playlist", "list")["items"]] == ["p", "q"]
    assert "s" in town.run("playlist", "remove", "p", code=2).stderr
    town.run("playlist", "remove", "q")
    assert "tocsin playlist list" in town.run("playlist", "show", "q", code=1).stderr
    assert "gone" in town.run("playlist", "add", "r", "gone", code=1).stderr


def test_kindness_changes_only_what_is_said(town: Any) -> None:
    town.run("kindness", "set", "N", "--quiet", "20:00-8:00", "--quiet", "12:00-14:00:rest", "--budget", "5")
    town.run("kindness", "set", "N", "--ceiling", "9:00-10:00=30:work", "--no-repeat", "1h")
    own = town.json("kindness", "show", "N")["zones"][0]["sets"]
    assert [(q["start"], q["end"], q["on"]) for q in own["quiet"]] == [
        ("20:00:00", "08:00:00", None),
        ("12:00:00", "14:00:00", "rest"),
    ]
    assert (own["budget"], own["no_repeat_s"], own["ceilings"][0]["volume"]) == (5.0, 3600.0, 30)
    town.run("kindness", "set", "N", "--no-quiet")
    below = town.json("kindness", "show", "N1")["zones"][0]
    assert (below["sets"], below["holds"]["quiet"], below["holds"]["budget"]) == (None, [], 5.0)
    town.run("kindness", "set", "N", "--inherit")
    town.run("kindness", "set", "--default", "--budget", "9")
    found = town.json("kindness", "show")
    assert (found["zones"], found["default"]["budget"]) == ([], 9.0)
    for language in ("en", "zh"):
        assert (
            max(cell_len(line) for line in town.run("kindness", "show", language=language).stdout.splitlines()) <= 80
        )


@pytest.mark.parametrize(
    "words",
    [
        ("N",), ("--budget", "1"), ("N", "--default", "--budget", "1"), ("N", "--inherit", "--budget", "1"),
        ("N", "--quiet", "night"), ("N", "--quiet", "25:00-07:00"), ("N", "--ceiling", "12:00-13:00"),
        ("N", "--ceiling", "12:00-13:00=101"), ("N", "--quiet", "21:00-07:00", "--no-quiet"),
    ],
)  # fmt: skip
def test_kindness_that_is_none_is_refused(town: Any, words: tuple[str, ...]) -> None:
    refused = town.run("kindness", "set", *words, code=2)
    assert (refused.stdout, bool(refused.stderr)) == ("", True)
    assert town.json("kindness", "show")["zones"] == []


def test_a_day_is_set_shown_and_taken_back(town: Any) -> None:
    town.run("calendar", "set", DAY, "rest", "--name", "停课")
    for language in ("en", "zh"):
        shown = town.run(
            "calendar", "show", "--first", "2026-12-01", "--last", "2026-12-31", language=language
        ).stdout
        assert "03*" in shown  # a day of rest
        assert "停课" in shown
        assert max(cell_len(line) for line in shown.splitlines()) <= 80
    town.run("calendar", "set", DAY, "--as-announced")
    assert DAY in town.run("calendar", "set", DAY, "--as-announced", code=1).stderr
    days = town.json("calendar", "show", "--first", DAY, "--last", DAY)["days"]
    assert [(d["kind"], d["source"]) for d in days] == [("work", "official")]
    for words in (("2026-02-30", "rest"), (DAY, "feast"), (DAY,), (DAY, "rest", "--as-announced")):
        town.run("calendar", "set", *words, code=2)


def test_a_report_of_a_day_without_anything_says_so(town: Any) -> None:
    assert "Nothing was due." in town.run("report", "plays", "--first", DAY).stdout
    assert town.json("report", "plays", "--first", DAY, "--zone", "N")["occurrences"] == []
    assert "nowhere" in town.run("report", "plays", "--zone", "nowhere", code=1).stderr
    assert "query.last" in town.run("report", "plays", "--first", DAY, "--last", "2026-12-01", code=2).stderr
    assert "→ --first" in town.run("report", "plays", "--first", "soon", code=2).stderr
