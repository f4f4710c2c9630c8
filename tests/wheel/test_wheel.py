"""The wheel holds everything that runs and nothing else, and works without the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
TOP = {"broadcast_core", "drivers", "scheduler", "simulators", "templates"}


def environment() -> Mapping[str, str]:
    """Ours, without anything that would lead Python back to the checkout."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment(), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as for a release; by the hatchling that is here, so that no network is needed."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index")
    run(*pip, "--no-deps", "--no-build-isolation", "--wheel-dir", folder, ROOT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The Python of a fresh environment with the wheel in it; what it depends on is lent from the one that tests."""
    home = wheel.parent / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=wheel.parent)
    python = home / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check")
    run(*pip, "--no-index", "--no-deps", wheel, cwd=wheel.parent)
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=wheel.parent).strip()
    # A path named in a .pth is searched after the environment's own, and .pth files in it (the checkout's) count not.
    (Path(site) / "lent.pth").write_text(
        "\n".join(dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib"))))
    )
    return python


@pytest.fixture(scope="module")
def seen(installed: Path) -> dict[str, Any]:
    """What a program sees that has nothing but the wheel."""
    folder = installed.parent
    found: dict[str, Any] = json.loads(run(installed, Path(__file__).with_name("installed.py"), folder, cwd=folder))
    return found


def test_every_file_of_the_packages_is_packed_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    packed = {name for name in names if not name.split("/")[0].endswith(".dist-info")}
    files = {
        path.relative_to(ROOT).as_posix()
        for package in TOP
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == files
    assert (
        {name.split("/")[0] for name in packed}
        == TOP
        == set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    )
    information = {name.split("/", 1)[1] for name in names - packed}
    assert information == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_no_test_and_nothing_secret_is_packed(wheel: Path) -> None:
    for name in zipfile.ZipFile(wheel).namelist():
        path = Path(name)
        assert not path.name.startswith(("test_", "conftest")), name
        assert path.suffix not in {".pem", ".db", ".key", ".pyc"}, name


def test_the_packages_come_from_the_wheel(seen: dict[str, Any], installed: Path) -> None:
    home = installed.parents[1]
    assert set(seen["where"]) == TOP
    for name, where in seen["where"].items():
        assert Path(where).is_relative_to(home), f"{name} is not the wheel's: {where}"
    assert seen["version"] == PROJECT["project"]["version"]


def test_its_data_is_inside_and_works(seen: dict[str, Any]) -> None:
    assert "暴雨" in seen["said"][0]
    assert seen["chinese"] == "没有找到"
    assert "cd-air-raid" in seen["patterns"]
    assert "attention-1" in seen["tones"]
    assert seen["voice"]
    assert seen["endpoints"] == 1099 + 24 + 2400
    assert seen["cells"] == 14
    assert {"alembic_version", "alert", "audit", "receipt", "zone"} <= set(seen["tables"])


def test_the_command_is_there_and_starts(installed: Path) -> None:
    said = run(installed.with_name("tocsin"), "--help", cwd=installed.parent)
    assert all(command in said for command in ("serve", "alert", "registry", "doctor", "simulate"))
    assert run(installed, "-m", "simulators", "--help", cwd=installed.parent)
