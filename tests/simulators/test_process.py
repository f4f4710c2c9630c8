"""`python -m simulators` as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-P", "-m", "simulators", "--until-stdin-closes")


def options(directory: Path, faults: str) -> list[str]:
    config, file = directory / "tocsin.toml", directory / "faults.toml"
    port = directory / "line-1"
    config.write_text(
        f'data_dir = "{directory}"\n[sms]\nenabled = false\n'
        f'[[serial.lines]]\nname = "line-1"\nport = "{port}"\nboards = [{{ unit = 1 }}]\n'
    )
    file.write_text(faults)
    return ["--config", str(config), "--faults", str(file)]


@pytest.mark.parametrize(
    ("faults", "plugged"),
    [
        ('[[boards]]\nline = "line-1"\nunit = 1\ndead = true\n', True),
        ('[[lines]]\nline = "line-1"\nunplugged = true\n', False),
    ],
)
def test_faults_of_the_lines_are_there_from_the_beginning(faults: str, plugged: bool, tmp_path: Path) -> None:
    command = [*COMMAND, *options(tmp_path, faults)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as field:
        assert field.stdout is not None
        assert field.stdout.readline()  # it is there
        assert (tmp_path / "line-1").exists() is plugged
        _out, errors = field.communicate(timeout=60)  # closes its standard input
    assert (field.returncode, errors) == (0, b"")


def test_a_fault_of_a_line_that_is_not_there_is_named(tmp_path: Path) -> None:
    command = [*COMMAND, *options(tmp_path, '[[lines]]\nline = "line-9"\nunplugged = true\n')]
    ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "line-9" in ended.stderr
    assert "Traceback" not in ended.stderr
