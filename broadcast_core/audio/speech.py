"""Text to speech: one child process for each language, killed when it is late.

The program behind it is a parameter: anything that takes `--voice NAME --rate WORDS_PER_MINUTE`, reads UTF-8 text on
stdin and writes a mono 16-bit WAV file to stdout can stand in for eSpeak NG.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from broadcast_core.audio.child import ChildFailed, module_command, run
from broadcast_core.audio.exits import Exit
from broadcast_core.audio.pcm import Pcm
from broadcast_core.errors import TocsinError
from broadcast_core.i18n import Sentence, _

ESPEAK: Final = module_command("broadcast_core.audio.espeak_child")

_SHORTEST_S: Final = 0.1  # a voice that knows no sign of the text gives about 10 ms of nothing


@dataclass(eq=False)
class SpeechFailed(TocsinError):
    """These words could not be spoken; the alert goes out with tone and text."""

    sentence: Sentence

    def __str__(self) -> str:
        return str(self.sentence)


async def say(
    text: str, language: str, *, words_per_minute: int, timeout: float, program: Sequence[str] = ESPEAK
) -> Pcm:
    """`text` spoken in `language` (a language tag). Raises SpeechFailed, at the latest after `timeout` seconds."""
    command = (*program, "--voice", voice_for(language, text), "--rate", str(words_per_minute))
    try:
        spoken = Pcm.from_wav(await run(command, text.encode(), timeout))
    except ChildFailed as failure:
        raise SpeechFailed(_sentence(failure, language)) from failure
    except ValueError as error:
        raise SpeechFailed(_("The speech program gave no sound: {detail}.", detail=str(error))) from error
    if spoken.silent or spoken.seconds < _SHORTEST_S:
        raise SpeechFailed(_("The voice for {language} said nothing.", language=language))
    return spoken


def voice_for(language: str, text: str) -> str:
    """The voice that speaks `language`. Raises SpeechFailed where there is none, or where it cannot read `text`."""
    tag = language.replace("_", "-").lower()
    fits = [known for known in _voices() if tag == known or tag.startswith(known + "-")]
    if not fits:
        raise SpeechFailed(_("There is no voice for the language {language}.", language=language))
    if not tag.startswith("zh") and _chinese(text):
        raise SpeechFailed(_("The text is Chinese but is marked as {language}.", language=language))
    return _voices()[max(fits, key=len)]


def _chinese(text: str) -> bool:
    """Whether most letters are Chinese signs; a Latin voice would read each as "Chinese letter"."""
    letters = [c for c in text if c.isalpha()]
    return 2 * sum("\u4e00" <= c <= "\u9fff" for c in letters) > len(letters)


def _sentence(failure: ChildFailed, language: str) -> Sentence:
    if failure.code == Exit.UNAVAILABLE:
        return _(
            "Speech is not installed ({detail}). Install it with: pip install 'tocsin[voice]'", detail=failure.said
        )
    if failure.code == Exit.REFUSED:
        return _(
            "The voice for {language} refused the text: {detail}.", language=language, detail=Sentence(failure.said)
        )
    if failure.code is None:
        return _("Speech in {language} failed: {detail}.", language=language, detail=failure.said)
    return _("The speech program for {language} crashed ({detail}).", language=language, detail=str(failure))


@cache
def _voices() -> dict[str, str]:
    text = (files("broadcast_core.audio") / "voices.toml").read_text(encoding="utf-8")
    return {str(tag): str(voice) for tag, voice in tomllib.loads(text).items()}
