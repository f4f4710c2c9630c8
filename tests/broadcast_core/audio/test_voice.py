"""Words to announcements, with the real synthesiser and the real studio."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from broadcast_core.audio import tone
from broadcast_core.audio.decode import decode
from broadcast_core.audio.loudness import measure
from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.speech import ESPEAK
from broadcast_core.audio.voice import Announcer
from broadcast_core.config import Voice
from broadcast_core.errors import Rejected, RejectReason
from broadcast_core.model import Level, Spoken

URL = "http://media.example:8791"
Program = Callable[[str], tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Said:
    language: str
    speech: str
    text: str = "for the display"


ZH = Said(language="zh-CN", speech="请注意。天心区暴雨红色预警。请远离低洼地带。", text="暴雨红色预警")
EN = Said(language="en-US", speech="Attention please. Red rainstorm warning.", text="Red rainstorm warning")
FR = Said(language="fr-CA", speech="Alerte", text="Alerte")


async def announced(media: MediaStore, *words: Said, voice: Voice | None = None, **options: object) -> Spoken:
    program = options.pop("program", ESPEAK)
    async with Announcer(voice or Voice(), media, URL, language="en", program=program) as announcer:  # type: ignore[arg-type]
        return await announcer.speak(words, **options)  # type: ignore[arg-type]


async def sound_of(media: MediaStore, spoken: Spoken) -> Pcm:
    assert spoken.audio is not None
    file = media.find(spoken.audio.sha256)
    assert file is not None
    assert hashlib.sha256(file.path.read_bytes()).hexdigest() == spoken.audio.sha256
    return await decode(file.path.read_bytes(), 22050)


async def test_an_alert_in_two_languages_is_said_twice_between_tones(media: MediaStore) -> None:
    spoken = await announced(media, ZH, EN, level=Level.RED)
    assert spoken.note == ""
    assert spoken.tone == "attention-1"
    assert spoken.text == (("zh-CN", "暴雨红色预警"), ("en-US", "Red rainstorm warning"))
    assert spoken.audio is not None
    assert spoken.audio.url == f"{URL}/media/{spoken.audio.sha256}.mp3"
    assert spoken.audio.mime_type == "audio/mpeg"
    sound = await sound_of(media, spoken)
    assert sound.seconds == pytest.approx(spoken.audio.duration.total_seconds(), abs=0.01)
    once = await announced(media, ZH, EN, level=Level.RED, voice=Voice(repeats=1))
    chime = tone.tone(tone.END).seconds
    assert once.audio is not None
    words = once.audio.duration.total_seconds() - chime
    # The first tone is the speaker's own; the programme's stands between the words and their repetition.
    assert sound.seconds == pytest.approx(words + tone.tone("attention-1").seconds + words + chime, abs=1.0)


@pytest.mark.parametrize("words", [(ZH,), (EN,), (ZH, EN)])
async def test_what_a_speaker_plays_is_as_loud_as_the_settings_say(
    media: MediaStore, words: tuple[Said, ...]
) -> None:
    found = measure(await sound_of(media, await announced(media, *words)))
    assert found.lufs == pytest.approx(-16.0, abs=0.5)
    assert found.true_peak_dbtp < -1.0  # the ceiling is -1.5; coding adds a little


async def test_the_settings_decide_the_sound(media: MediaStore) -> None:
    other = Voice(loudness_lufs=-23.0, sample_rate=16000, bitrate_kbps=32, repeats=1)
    spoken = await announced(media, EN, voice=other)
    assert spoken.audio is not None
    assert spoken.audio.size == pytest.approx(32_000 / 8 * spoken.audio.duration.total_seconds(), rel=0.01)
    assert measure(await sound_of(media, spoken)).lufs == pytest.approx(-23.0, abs=0.6)


async def test_a_louder_level_has_another_tone(media: MediaStore) -> None:
    red, blue = await announced(media, EN, level=Level.RED), await announced(media, EN, level=Level.BLUE)
    assert (red.tone, blue.tone) == ("attention-1", "attention-4")
    assert red.audio is not None
    assert blue.audio is not None
    assert red.audio.duration > blue.audio.duration


def counting(tmp_path: Path, program: Program) -> tuple[tuple[str, ...], Callable[[], int]]:
    """The real program, and how often it was started."""
    log = tmp_path / "started"
    source = f"""
import sys
with open({str(log)!r}, "a") as file: file.write("x")
from broadcast_core.audio.espeak_child import main
sys.exit(main())
"""
    return program(source), lambda: len(log.read_text()) if log.exists() else 0


async def test_the_same_words_are_made_once(media: MediaStore, tmp_path: Path, program: Program) -> None:
    command, started = counting(tmp_path, program)
    async with Announcer(Voice(), media, URL, program=command) as announcer:
        together = await asyncio.gather(*(announcer.speak((ZH, EN)) for _ in range(5)))
        again = await announcer.speak((ZH, EN))
        assert started() == 2
        assert len({s.audio.sha256 for s in (*together, again) if s.audio}) == 1
        await announcer.speak((EN, ZH))
        assert started() == 4


async def test_the_same_words_give_the_same_bytes_after_a_restart(media: MediaStore) -> None:
    assert await announced(media, ZH, EN) == await announced(media, ZH, EN)


async def test_audio_that_has_gone_from_the_store_is_made_again(media: MediaStore) -> None:
    async with Announcer(Voice(), media, URL) as announcer:
        first = await announcer.speak((EN,))
        assert first.audio is not None
        file = media.find(first.audio.sha256)
        assert file is not None
        file.path.unlink()
        assert await announcer.speak((EN,)) == first
        assert file.path.exists()


async def test_a_language_without_a_voice_does_not_silence_the_others(media: MediaStore) -> None:
    spoken = await announced(media, ZH, FR)
    alone = await announced(media, ZH)
    assert spoken.audio == alone.audio
    assert "fr-CA" in spoken.note
    assert spoken.text[1] == ("fr-CA", "Alerte")


def assert_only_tone_and_text(spoken: Spoken, why: str) -> None:
    assert spoken.audio is None
    assert spoken.tone == "attention-1"
    assert spoken.text
    assert why in spoken.note


async def test_without_any_voice_tone_and_text_go_out(media: MediaStore) -> None:
    assert_only_tone_and_text(await announced(media, FR, level=Level.RED), "no voice for the language fr-CA")


async def test_with_the_engine_switched_off_tone_and_text_go_out(media: MediaStore) -> None:
    assert_only_tone_and_text(await announced(media, ZH, voice=Voice(engine="none")), "switched off")


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import os; os.kill(os.getpid(), 9)", "crashed"),
        ("import sys; sys.stderr.write('No module named espeakng_loader'); sys.exit(69)", "pip install"),
        ("print('nonsense')", "gave no sound"),
    ],
)
async def test_a_synthesiser_that_fails_leaves_tone_and_text(
    media: MediaStore, program: Program, source: str, why: str
) -> None:
    assert_only_tone_and_text(await announced(media, ZH, EN, program=program(source)), why)


async def test_a_synthesiser_that_hangs_holds_nothing_up(media: MediaStore, program: Program, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(999)"
    began = time.monotonic()
    spoken = await announced(media, ZH, EN, program=program(source), voice=Voice(timeout_s=3.0))
    assert time.monotonic() - began < 30
    assert_only_tone_and_text(spoken, "no answer within 1.8 s")
    for pid in pids.read_text().split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid), 0)


async def test_one_language_that_hangs_does_not_silence_the_other(media: MediaStore, program: Program) -> None:
    source = """
import sys, time
if "en" in sys.argv: time.sleep(999)
from broadcast_core.audio.espeak_child import main
sys.exit(main())
"""
    spoken = await announced(media, ZH, EN, program=program(source), voice=Voice(timeout_s=10.0))
    assert spoken.audio == (await announced(media, ZH)).audio
    assert "en-US" in spoken.note


async def test_a_whole_that_takes_too_long_leaves_tone_and_text(media: MediaStore) -> None:
    assert_only_tone_and_text(await announced(media, ZH, voice=Voice(timeout_s=0.001)), "")


async def test_a_disk_that_refuses_leaves_tone_and_text(media: MediaStore, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "media")
    spoken = await announced(media, ZH)
    assert_only_tone_and_text(spoken, "Storage failed")


async def test_a_failure_is_not_remembered(media: MediaStore, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "media")
    async with Announcer(Voice(), media, URL) as announcer:
        assert (await announcer.speak((EN,))).audio is None
        (tmp_path / "media").mkdir()
        assert (await announcer.speak((EN,))).audio is not None


async def test_an_alert_without_words_says_so(media: MediaStore) -> None:
    assert "no words" in (await announced(media)).note


async def test_the_note_is_in_the_language_of_its_readers(media: MediaStore) -> None:
    async with Announcer(Voice(engine="none"), media, URL, language="zh") as announcer:
        assert (await announcer.speak((ZH,))).note


async def test_a_recording_takes_the_place_of_speech(media: MediaStore, sine: Callable[..., Pcm]) -> None:
    clip = sine(4.0, 700, 0.05).to_wav()
    spoken = await announced(media, ZH, clip=clip, voice=Voice(engine="none", repeats=1))
    assert spoken.note == ""
    sound = await sound_of(media, spoken)
    assert sound.seconds == pytest.approx(4.0 + 1.5 + tone.tone(tone.END).seconds, abs=0.5)
    assert measure(sound).lufs == pytest.approx(-16, abs=0.6)


async def test_a_recording_that_is_refused_is_told_to_its_sender(media: MediaStore) -> None:
    with pytest.raises(Rejected) as refused:
        await announced(media, ZH, clip=b"#EXTM3U\nfile:///etc/passwd\n")
    assert refused.value.reason is RejectReason.MEDIA_REFUSED


async def test_a_caller_that_goes_away_does_not_take_it_from_the_others(media: MediaStore) -> None:
    async with Announcer(Voice(), media, URL) as announcer:
        first = asyncio.create_task(announcer.speak((ZH,)))
        second = asyncio.create_task(announcer.speak((ZH,)))
        await asyncio.sleep(0)
        first.cancel()
        assert (await second).audio is not None


async def test_closing_it_ends_what_is_being_made(media: MediaStore, program: Program, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    source = f"import os, time; open({str(pids)!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(999)"
    async with Announcer(Voice(), media, URL, program=program(source)) as announcer:
        task = asyncio.create_task(announcer.speak((ZH,)))
        async with asyncio.timeout(30):
            while not (pids.exists() and pids.read_text().endswith(" ")):
                await asyncio.sleep(0.01)
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)


async def test_many_at_once_are_all_made(media: MediaStore) -> None:
    words = [Said(language="en", speech=f"Warning number {n}.") for n in range(12)]
    async with Announcer(Voice(repeats=1, timeout_s=90.0), media, URL) as announcer:
        made = await asyncio.gather(*(announcer.speak((one,)) for one in words))
    assert len({spoken.audio.sha256 for spoken in made if spoken.audio}) == 12
