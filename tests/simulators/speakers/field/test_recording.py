"""The WAV of one speaker is what somebody under it would have heard."""

from __future__ import annotations

import itertools
import wave
from array import array
from pathlib import Path
from typing import Any

from drivers.ip_speaker.wire.command import Target
from simulators.speakers import Fleet, FleetOptions

ONE = "SPK-0001"
ME = Target(endpoints=(ONE,))


def pitches(file: Path, step_ms: int = 50) -> list[int]:
    """The pitch of each step in Hz, by its crossings of zero."""
    with wave.open(str(file)) as recording:
        rate = recording.getframerate()
        samples = array("h", recording.readframes(recording.getnframes()))
    size = rate * step_ms // 1000
    found = []
    for i in range(0, len(samples) - size, size):
        part = samples[i : i + size]
        crossings = sum((a < 0) != (b < 0) for a, b in itertools.pairwise(part))
        found.append(0 if max(map(abs, part)) < 50 else round(crossings / 2 * 1000 / step_ms))
    return found


def runs(heard: list[int], names: dict[int, str], step_ms: int = 50) -> list[tuple[str, int]]:
    """The recording as (what, ms) in order; a step that is none of `names` (an edge) is left out."""
    out: list[tuple[str, int]] = []
    for hz in heard:
        name = "silence" if hz == 0 else next((n for f, n in names.items() if abs(hz - f) <= f / 8), "")
        if name and out and out[-1][0] == name:
            out[-1] = (name, out[-1][1] + step_ms)
        elif name:
            out.append((name, step_ms))
    return [(name, ms) for name, ms in out if ms > step_ms]


async def test_tone_and_speech_are_in_it_in_order_and_length(
    core: Any, media: Any, make_wav: Any, tmp_path: Path
) -> None:
    core.tones = {"attention": media.put(make_wav(4000, 1000), 4000)}
    audio = media.put(make_wav(1000, 400), 1000)
    options = FleetOptions(record={ONE: tmp_path / "one.wav"})
    async with Fleet(core.provision, options=options) as fleet:
        await fleet.ready()
        await core.until(lambda: all(fleet.remembered(i).tones for i in core.ids), "the tone")
        await core.start(audio=audio)
        await core.until(lambda: ONE in core.who("finished"), "finished")
    (tone, tone_ms), (speech, speech_ms) = runs(pitches(tmp_path / "one.wav"), {1000: "tone", 400: "speech"})
    assert (tone, speech) == ("tone", "speech")
    assert abs(tone_ms - 4000) <= 100
    assert abs(speech_ms - 1000) <= 100


async def test_an_interruption_a_resumption_and_a_stop_are_heard(
    core: Any, media: Any, make_wav: Any, tmp_path: Path
) -> None:
    long, short = media.put(make_wav(6000, 400), 6000), media.put(make_wav(1000, 700), 1000)
    options = FleetOptions(record={ONE: tmp_path / "one.wav"})
    async with Fleet(core.provision, options=options) as fleet:
        await fleet.ready()
        await core.start(ME, alert="A", audio=long, resume="position")
        await core.until(lambda: "audio" in [p.what for p in fleet.played(ONE)], "A's audio")
        await core.start(ME, alert="B", audio=short, sound_class="air-raid")
        await core.until(lambda: ONE in core.who("finished", "B"), "B")
        await core.until(lambda: len([p for p in fleet.played(ONE) if p.alert == "A"]) >= 3, "A again")
        await core.stop(ME, alert="A")
        await core.until(lambda: ONE in core.who("stopped", "A"), "the stop")
        stretches = fleet.played(ONE)
    heard = [(p.alert, p.what) for p in stretches]
    assert heard == [("A", "tone"), ("A", "audio"), ("B", "tone"), ("B", "audio"), ("A", "audio")]
    assert stretches[-1].position_ms == stretches[1].played_ms
    assert stretches[-1].why == "stopped"
    with wave.open(str(tmp_path / "one.wav")) as recording:
        recorded_ms = recording.getnframes() * 1000 / recording.getframerate()
    assert abs(recorded_ms - sum(p.played_ms for p in stretches)) < 500


async def test_half_the_volume_is_half_as_loud(core: Any, tmp_path: Path) -> None:
    options = FleetOptions(record={ONE: tmp_path / "one.wav"})
    async with Fleet(core.provision, options=options) as fleet:
        await fleet.ready()
        await core.start(ME, volume=50)
        await core.until(lambda: ONE in core.who("finished"), "finished")
    with wave.open(str(tmp_path / "one.wav")) as recording:
        samples = array("h", recording.readframes(recording.getnframes()))
    assert abs(max(samples) - 32767 * 0.5 * 0.5) < 100
