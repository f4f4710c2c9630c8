"""Words to what speakers are sent: spoken, mixed, stored; and never a reason for an alert to wait or to fail."""

from __future__ import annotations

import asyncio
import functools
import hashlib
import os
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol, Self

import msgspec
import structlog

from broadcast_core.audio import decode, speech, studio
from broadcast_core.audio.job import Job
from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.config import Voice
from broadcast_core.errors import StorageFailed
from broadcast_core.i18n import Sentence, _
from broadcast_core.model import AudioRef, Level, Spoken

log = structlog.get_logger(__name__)

_MIME_TYPE: Final = "audio/mpeg"
_SPEECH_SHARE: Final = 0.6  # of the time there is; what is left is enough to mix what could be spoken
_REMEMBERED: Final = 256
_TONES: Final = {
    Level.RED: "attention-1",
    Level.ORANGE: "attention-2",
    Level.YELLOW: "attention-3",
    Level.BLUE: "attention-4",
    Level.TEST: "attention-4",
}


class Utterance(Protocol):
    """One language of what is to be said (`render.Words` is one)."""

    @property
    def language(self) -> str: ...
    @property
    def speech(self) -> str: ...
    @property
    def text(self) -> str: ...


def tone_for(level: Level) -> str:
    """The attention tone of a level; the strongest where the level is not known."""
    return _TONES.get(level, "attention-1")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Made:
    """What became of the audio, and what has to be said about it."""

    audio: AudioRef | None
    notes: tuple[Sentence, ...] = ()


class Announcer:
    """Makes announcements, one child process for each language and one to mix. A context manager: leaving it ends
    what is still being made.

    The same words (with the same settings) are made once, also when they are asked for several times at once.
    """

    def __init__(
        self,
        voice: Voice,
        media: MediaStore,
        public_url: str,
        *,
        language: str = "zh",
        program: Sequence[str] = speech.ESPEAK,
    ) -> None:
        """`public_url` is where speakers reach the media listener; `language` that of the notes for people;
        `program` speaks (see `speech`)."""
        self._voice, self._media, self._public_url = voice, media, public_url
        self._language, self._program = language, program
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._making: dict[str, asyncio.Task[_Made]] = {}
        # Each takes up to three processes and 150 MB: a burst of alerts must not take the machine.
        self._room = asyncio.Semaphore(max(2, os.cpu_count() or 1))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        tasks = tuple(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def speak(
        self, words: Sequence[Utterance], *, level: Level = Level.UNKNOWN, clip: bytes | None = None
    ) -> Spoken:
        """What speakers are sent for `words`: after `voice.timeout_s` at the latest.

        `clip`, a recording, takes the place of speech. What cannot be spoken, mixed or stored is left out and
        `note` says so: `audio` then holds the languages that could be spoken, or is None and tone and text go out
        alone. Raises Rejected(MEDIA_REFUSED) for a recording that we do not take, and nothing else.
        """
        tone = tone_for(level)
        made = await self._once(tuple(words), studio.job_for(self._voice, tone), clip)
        if made.notes:
            log.warning("announcement is not whole", audio=made.audio is not None, why=[str(n) for n in made.notes])
        return Spoken(
            tone=tone,
            audio=made.audio,
            text=tuple((w.language, w.text) for w in words),
            note=" ".join(note.say(self._language) for note in made.notes),
        )

    async def _once(self, words: tuple[Utterance, ...], job: Job, clip: bytes | None) -> _Made:
        key = self._key(words, job, clip)
        known = self._made.get(key)
        if known is not None and known.audio is not None and self._media.use(known.audio.sha256) is not None:
            self._made.move_to_end(key)
            return known
        task = self._making.get(key)
        if task is None:
            task = asyncio.create_task(self._make(key, words, job, clip), name=f"announcement {key[:8]}")
            self._making[key] = task
            task.add_done_callback(lambda done: self._forget(key, done))
        return await asyncio.shield(task)  # whoever else waits for it must not lose it when this caller goes

    def _key(self, words: Sequence[Utterance], job: Job, clip: bytes | None) -> str:
        said = hashlib.sha256(clip).hexdigest() if clip is not None else [(w.language, w.speech) for w in words]
        voice = (self._voice.engine, self._voice.rate_wpm, tuple(self._program))
        return hashlib.sha256(msgspec.json.encode((said, voice, job))).hexdigest()

    def _forget(self, key: str, task: asyncio.Task[_Made]) -> None:
        self._making.pop(key, None)
        if not task.cancelled():
            task.exception()  # a caller that went away does not ask for it; asyncio would complain

    async def _make(self, key: str, words: tuple[Utterance, ...], job: Job, clip: bytes | None) -> _Made:
        began = time.monotonic()
        limit = self._voice.timeout_s
        try:
            async with asyncio.timeout(limit), self._room:
                made = await self._produced(words, job, clip)
        except TimeoutError:
            return _Made(
                audio=None, notes=(_("The announcement was not ready within {limit} s.", limit=f"{limit:g}"),)
            )
        except (speech.SpeechFailed, studio.StudioFailed, StorageFailed) as failure:
            return _Made(audio=None, notes=(failure.sentence,))
        log.info(
            "announcement made", took_s=round(time.monotonic() - began, 3), sha256=made.audio and made.audio.sha256
        )
        if not made.notes:
            self._remember(key, made)
        return made

    async def _produced(self, words: tuple[Utterance, ...], job: Job, clip: bytes | None) -> _Made:
        notes: list[Sentence] = []
        if clip is not None:
            parts = functools.partial(self._recorded, clip)
        else:
            self._check(words)
            parts = functools.partial(self._said, words, notes)
        programme = await studio.produce(job, parts, self._voice.timeout_s)
        file = await asyncio.to_thread(self._media.put, programme.mp3, _MIME_TYPE)
        reference = file.reference(self._public_url, timedelta(seconds=programme.seconds))
        log.debug("announcement mixed", lufs=[part.lufs for part in programme.parts], sha256=file.sha256)
        return _Made(audio=reference, notes=tuple(notes))

    async def _recorded(self, clip: bytes) -> list[Pcm]:
        return [await decode.decode(clip, self._voice.sample_rate, timeout=self._voice.timeout_s * _SPEECH_SHARE)]

    def _check(self, words: Sequence[Utterance]) -> None:
        """Raises SpeechFailed where there is no use in trying."""
        if self._voice.engine == "none":
            raise speech.SpeechFailed(_("Speech is switched off in the settings."))
        if not words:
            raise speech.SpeechFailed(_("The alert has no words to speak."))

    async def _said(self, words: Sequence[Utterance], notes: list[Sentence]) -> list[Pcm]:
        """What could be spoken, in order; why the rest could not goes to `notes`. Raises SpeechFailed if nothing."""
        tried = await asyncio.gather(*(self._attempt(one) for one in words))
        notes += (one for one in tried if isinstance(one, Sentence))
        spoken = [one for one in tried if isinstance(one, Pcm)]
        if not spoken:
            raise speech.SpeechFailed(functools.reduce(_both, notes))
        return spoken

    async def _attempt(self, words: Utterance) -> Pcm | Sentence:
        try:
            return await speech.say(
                words.speech,
                words.language,
                words_per_minute=self._voice.rate_wpm,
                timeout=self._voice.timeout_s * _SPEECH_SHARE,
                program=self._program,
            )
        except speech.SpeechFailed as failure:
            return failure.sentence

    def _remember(self, key: str, made: _Made) -> None:
        self._made[key] = made
        if len(self._made) > _REMEMBERED:
            self._made.popitem(last=False)


def _both(first: Sentence, second: Sentence) -> Sentence:
    return _("{first} {second}", first=first, second=second)
