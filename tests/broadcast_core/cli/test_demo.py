"""However the demo ends, nothing that it started goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE_S = 90.0


def family(pid: int) -> dict[int, str]:
    """The processes below one, each with when it was started: a number may be given again."""
    parents = {int(entry.name): stat for entry in Path("/proc").iterdir() if entry.name.isdecimal()
               and (stat := standing(int(entry.name))) is not None}  # fmt: skip
    found: dict[int, str] = {}
    generation = {pid}
    while generation:
        generation = {child for child, (_state, parent, _since) in parents.items() if parent in generation}
        found |= {child: parents[child][2] for child in generation}
    return found


def standing(pid: int) -> tuple[str, int, str] | None:
    """State, parent and start time of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[1]), fields[19]


def runs(pid: int, since: str) -> bool:
    now = standing(pid)
    return now is not None and now[2] == since and now[0] != "Z"  # a zombie only waits for its parent


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_a_demo_that_is_ended_leaves_nothing_running(number: signal.Signals, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "broadcast_core",
        "demo",
        "--speakers",
        "14",
        "--recipients",
        "0",
        "--horns",
        "8",
    ]
    environment = os.environ | {"TOCSIN_LANG": "en", "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as demo:
        assert demo.stderr is not None
        said = ""
        for line in demo.stderr:
            said += line
            if "is accepted" in line:
                break
        started = family(demo.pid)
        assert len(started) >= 3, said  # the core, its guard, the field
        demo.send_signal(number)
        demo.communicate(timeout=PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while left := [pid for pid, since in started.items() if runs(pid, since)]:
        assert time.monotonic() < deadline, [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in left]
        time.sleep(0.1)
    if number is signal.SIGKILL:
        assert demo.returncode == -signal.SIGKILL
    else:
        assert demo.returncode == 128 + number
        assert list(tmp_path.iterdir()) == []  # what it wrote is away too


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_day_of_a_small_district_is_proven_and_nobody_else_notices_the_emergency(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "broadcast_core", "demo", "--day", "--once", "--json", "--speakers", "42"]
    environment = os.environ | {"TOCSIN_LANG": "en", "TMPDIR": str(tmp_path)}
    demo = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=280, check=False)
    assert demo.returncode == 0, demo.stderr[-3000:]
    said = json.loads(demo.stdout)
    assert said["targets"] == said["proven"] == 42
    assert (said["outside"], said["untouched"]) == (39, 39)
    assert (said["inside"], said["resumed_at_position"]) == (3, 3)
