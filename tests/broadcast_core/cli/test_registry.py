"""`tocsin registry` against a core."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from broadcast_core.cli import app


def test_zones_a_zones_endpoints_and_one_endpoint_are_shown(core: Any) -> None:
    zones = core.json("registry", "show")["items"]
    root = next(zone for zone in zones if zone["parent"] is None)
    below = core.json("registry", "show", root["code"])["items"]
    assert len(below) == 17  # 14 speakers, 3 phones
    one = core.json("registry", "show", below[0]["id"])["items"]
    assert [endpoint["id"] for endpoint in one] == [below[0]["id"]]
    assert below[0]["id"] in core.run("registry", "show", below[0]["id"]).stdout
    core.run("registry", "show", "nobody-knows-it", code=1)


def test_what_is_exported_can_be_imported_again_and_changes_nothing(core: Any, tmp_path: Path) -> None:
    for form in ("csv", "geojson"):
        file = tmp_path / f"registry.{form}"
        core.run("registry", "export", "--format", form, "--with-phones", "--out", str(file))
        change = core.json("registry", "import", str(file), "--replace")
        nothing = {"added": 0, "changed": 0, "removed": 0}
        assert change == {"zones": nothing, "endpoints": nothing, "raised": 0}
    assert len(core.json("registry", "show")["items"]) > 14


def test_without_the_right_option_no_phone_number_leaves(core: Any) -> None:
    with_phones = core.run("registry", "export", "--with-phones").stdout
    assert "+999" in with_phones
    assert "+999" not in core.run("registry", "export").stdout


def test_a_bad_row_is_exit_code_2_with_its_line_and_nothing_is_applied(core: Any, tmp_path: Path) -> None:
    file = tmp_path / "registry.csv"
    core.run("registry", "export", "--with-phones", "--out", str(file))
    before = core.json("registry", "show")
    lines = file.read_text().splitlines()
    file.write_text("\n".join([*lines, lines[-1].replace("+999", "+")]) + "\n")
    refused = core.run("registry", "import", str(file), code=2)
    assert str(len(lines) + 1) in refused.stderr
    assert core.json("registry", "show") == before


def test_a_file_or_the_default_but_not_both(core: Any, tmp_path: Path) -> None:
    core.run("registry", "import", code=2)
    core.run("registry", "import", str(tmp_path / "x.csv"), "--default", code=2)
    core.run("registry", "import", str(tmp_path / "missing.csv"), code=2)


def test_the_provision_file_has_every_speaker_and_is_nobody_elses_to_read(core: Any, tmp_path: Path) -> None:
    file = tmp_path / "provision.json"
    core.run("registry", "provision", "--out", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(json.loads(file.read_text())["speakers"]) == 14


def test_one_speakers_provision_file_has_no_other_speakers_key(core: Any, tmp_path: Path) -> None:
    everybody, one = tmp_path / "all.json", tmp_path / "one.json"
    core.run("registry", "provision", "--out", str(everybody))
    speaker = json.loads(everybody.read_text())["speakers"][3]
    core.run("registry", "provision", "--out", str(one), "--endpoint", speaker["id"])
    assert json.loads(one.read_text())["speakers"] == [speaker]
    refused = core.run("registry", "provision", "--out", str(tmp_path / "x"), "--endpoint", "nobody", code=1)
    assert "nobody" in refused.stderr
    assert not (tmp_path / "x").exists()


def test_a_terminal_of_80_columns_shows_whole_ids(core: Any) -> None:
    zones = core.json("registry", "show")["items"]
    root = zones[0]["code"]
    below = core.json("registry", "show", root)["items"]
    environment = core.command()[1] | {"COLUMNS": "80"}
    shown = CliRunner().invoke(app, ["registry", "show", root], env=environment).stdout
    assert all(one["id"] in shown for one in below)
    assert "…" not in shown
    districts = CliRunner().invoke(app, ["registry", "show"], env=environment).stdout
    assert [zone["code"] in districts for zone in zones] == [zone["level"] != "community" for zone in zones]


def test_an_import_says_what_it_did(core: Any, tmp_path: Path) -> None:
    file = tmp_path / "registry.csv"
    core.run("registry", "export", "--with-phones", "--out", str(file))
    assert "Endpoints: 0 added, 0 changed, 0 removed." in core.run("registry", "import", str(file)).stdout


def test_a_real_speakers_file_names_the_broker_as_the_speakers_reach_it(
    core: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("a secret\n")
    for name, value in {"HOST": "192.0.2.1", "USERNAME": "speaker", "PASSWORD_FILE": str(password)}.items():
        monkeypatch.setenv(f"TOCSIN_MQTT__SPEAKERS__{name}", value)
    core.run("registry", "provision", "--out", str(tmp_path / "file"))
    broker = json.loads((tmp_path / "file").read_text())["broker"]
    assert (broker["host"], broker["username"], broker["password"]) == ("192.0.2.1", "speaker", "a secret")
