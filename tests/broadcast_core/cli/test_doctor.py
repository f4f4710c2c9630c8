"""`tocsin doctor` as a person and a program run it: a process of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from broadcast_core.doctor import CHECKS

PROGRAM = "import typer; from broadcast_core.cli.doctor import doctor; typer.run(doctor)"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def settings(tmp_path: Path, more: str = "") -> Path:
    file = tmp_path / "tocsin.toml"
    file.write_text(
        f'data_dir = "{tmp_path / "data"}"\n{more}\n'
        f"[api]\nport = {free_port()}\n[media]\nport = {free_port()}\n[mqtt]\nport = {free_port()}\n"
        "[sms]\nenabled = false\n"
    )
    return file


def run(*arguments: str, language: str = "en") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TOCSIN_LANG": language, "COLUMNS": "200"}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=environment)


def test_json_is_one_value_with_every_check_and_exit_code_0_without_a_fault(tmp_path: Path) -> None:
    ended = run("--json", "--config", str(settings(tmp_path)))
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["ok"]) == (0, True), ended.stdout
    assert [finding["check"] for finding in found["findings"]] == [check.name for check in CHECKS]
    assert {finding["grade"] for finding in found["findings"]} <= {"ok", "warn", "skipped"}


def test_a_fault_is_exit_code_1_and_says_what_to_do(tmp_path: Path) -> None:
    line = 'serial.lines = [{ name = "line-1", port = "/dev/does-not-exist", boards = [{ unit = 1 }] }]'
    ended = run("--config", str(settings(tmp_path, line)))
    assert ended.returncode == 1, ended.stderr
    assert "line-1: /dev/does-not-exist: No such file or directory" in ended.stdout
    assert "line line-1, unit 1" in ended.stdout  # a board without a timer is named
    assert "→" in ended.stdout


def test_bad_settings_are_exit_code_2_and_named(tmp_path: Path) -> None:
    ended = run("--config", str(settings(tmp_path, "surprise = 1")))
    assert ended.returncode == 2
    assert "surprise" in ended.stderr
    assert ended.stdout == ""
