"""With the real eSpeak NG."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from broadcast_core.audio.child import ChildFailed, run
from broadcast_core.audio.exits import Exit
from broadcast_core.audio.loudness import measure
from broadcast_core.audio.pcm import Pcm
from broadcast_core.audio.speech import ESPEAK, SpeechFailed, say, voice_for

MANDARIN = "天心区气象台发布暴雨红色预警，请远离低洼地带和地下空间，不要涉水通行。"
ENGLISH = "Red rainstorm warning. Keep away from low ground and underpasses."
Program = Callable[[str], tuple[str, ...]]


async def spoken(text: str, language: str, **options: object) -> Pcm:
    return await say(text, language, **{"words_per_minute": 150, "timeout": 30.0, **options})  # type: ignore[arg-type]


async def test_chinese_is_spoken_as_mandarin_syllable_by_syllable(speaks: Callable[[str, str], Pcm]) -> None:
    signs = sum(c.isalpha() for c in MANDARIN)
    sound = await spoken(MANDARIN, "zh-CN")
    # A sign is a syllable of 0.2-0.4 s. A voice that does not know Chinese spells out "Chinese letter" for each.
    assert 0.18 * signs < sound.seconds < 0.42 * signs
    assert speaks(MANDARIN, "en").seconds > 1.5 * sound.seconds


@pytest.mark.parametrize(("text", "language"), [(MANDARIN, "zh"), (MANDARIN, "ZH_Hans_CN"), (ENGLISH, "en-GB")])
async def test_what_is_spoken_is_neither_silent_nor_clipped(text: str, language: str) -> None:
    found = measure(await spoken(text, language))
    assert -30 < found.lufs < -10
    assert found.true_peak_dbtp < 0


async def test_speech_is_the_same_every_time() -> None:
    assert await spoken(ENGLISH, "en") == await spoken(ENGLISH, "en")


async def test_a_faster_rate_is_shorter() -> None:
    slow, fast = await spoken(ENGLISH, "en", words_per_minute=100), await spoken(ENGLISH, "en", words_per_minute=250)
    assert fast.seconds < slow.seconds * 0.7


async def test_markup_in_the_text_is_spoken_and_not_obeyed() -> None:
    assert (await spoken('<break time="60s"/> [[hello]]', "en")).seconds < 20


@pytest.mark.parametrize("language", ["fr-CA", "x", "", "zhx", "english"])
async def test_a_language_without_a_voice_is_not_read_by_a_wrong_one(language: str) -> None:
    with pytest.raises(SpeechFailed, match="no voice for the language"):
        await spoken("Bonjour", language)


async def test_chinese_under_another_language_is_not_spelled_out() -> None:
    with pytest.raises(SpeechFailed, match="marked as en-US"):
        await spoken(MANDARIN, "en-US")
    assert voice_for("en", "Warning for Tianxin 天心") == "en"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--voice", "nonsense", "--rate", "150"), "it does not have this voice"),
        (("--voice", "en", "--rate", "150", "--longest", "2"), "it takes too long to say"),
    ],
)
async def test_the_program_refuses_what_it_cannot_speak(arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(ChildFailed) as failed:
        await run((*ESPEAK, *arguments), ENGLISH.encode(), 30)
    assert failed.value.code == Exit.REFUSED
    assert failed.value.said == said


async def test_a_text_without_anything_to_say_fails() -> None:
    with pytest.raises(SpeechFailed, match="said nothing"):
        await spoken("  ", "en")


async def test_a_program_that_hangs_is_given_up_in_time(program: Program) -> None:
    began = time.monotonic()
    with pytest.raises(SpeechFailed, match="no answer within"):
        await spoken(ENGLISH, "en", program=program("import time; time.sleep(999)"), timeout=0.5)
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import os; os.kill(os.getpid(), 9)", "crashed"),
        ("import os; os.kill(os.getpid(), 11)", "crashed"),
        ("import sys; sys.stderr.write('too odd'); sys.exit(65)", "refused the text: too odd"),
        ("import sys; sys.stderr.write('no module'); sys.exit(69)", "pip install 'tocsin[voice]'"),
        ("print('this is no sound')", "gave no sound"),
        ("", "gave no sound"),
    ],
)
async def test_a_program_that_fails_gives_a_sentence(program: Program, source: str, sentence: str) -> None:
    with pytest.raises(SpeechFailed) as failed:
        await spoken(ENGLISH, "en", program=program(source))
    assert sentence in str(failed.value)


async def test_without_the_synthesiser_it_says_how_to_install_it(program: Program) -> None:
    missing = "import sys; sys.modules['espeakng_loader'] = None\n"
    run_real = "from broadcast_core.audio.espeak_child import main; sys.exit(main())"
    with pytest.raises(SpeechFailed, match=r"pip install 'tocsin\[voice\]'"):
        await spoken(ENGLISH, "en", program=program(missing + run_real))
