"""`tocsin simulate` beside a real speaker: who is stood in for, and that nothing is left when it ends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE_S = 60.0
LINE = "The simulated field is there: {} speakers, 0 serial lines.\n"


@pytest.fixture
def simulated(core: Any, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The field as a process, its keys under `tmp_path`."""
    command, environment = core.command("simulate")
    process = subprocess.Popen(
        command, env=environment | {"TMPDIR": str(tmp_path)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process
    process.kill()
    process.wait(PATIENCE_S)
    process.stdout.close()


def child_of(process: subprocess.Popen[str]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def test_it_hands_signals_on_and_leaves_neither_a_process_nor_a_key(simulated: Any, tmp_path: Path) -> None:
    assert simulated.stdout.readline() == LINE.format(14)
    child = child_of(simulated)
    simulated.send_signal(signal.SIGHUP)  # reads the faults again, and does not end
    with pytest.raises(subprocess.TimeoutExpired):
        simulated.wait(0.5)
    simulated.send_signal(signal.SIGTERM)
    assert simulated.wait(PATIENCE_S) == 0
    assert not Path(f"/proc/{child}").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_field_ends_also_when_the_command_is_killed(simulated: Any) -> None:
    assert simulated.stdout.readline() == LINE.format(14)
    simulated.kill()
    simulated.wait(PATIENCE_S)
    assert simulated.stdout.read() == ""  # the child held the other end, and is gone


def test_a_speaker_that_is_not_simulated_is_nobody_elses_to_speak_for(
    core: Any, simulated_but_one: str, simulated: Any
) -> None:
    assert simulated.stdout.readline() == LINE.format(13)


@pytest.fixture
def simulated_but_one(core: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a real speaker, the only one of the registry."""
    file = tmp_path_factory.mktemp("registry") / "registry.csv"
    core.run("registry", "export", "--with-phones", "--out", str(file))
    lines = file.read_text(encoding="utf-8-sig").splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("speaker,"))
    assert ",true," in lines[at]
    lines[at] = lines[at].replace(",true,", ",false,", 1)
    file.write_text("\n".join(lines))
    core.run("registry", "import", str(file))
    return lines[at].split(",")[1]
