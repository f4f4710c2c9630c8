"""The library's acts."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import partial
from typing import Final

import msgspec
import structlog

from broadcast_core.audio import decode, mastering, speech
from broadcast_core.audio.master_job import Master
from broadcast_core.audio.media import MediaFile, MediaStore
from broadcast_core.audio.pcm import Pcm
from broadcast_core.clock import Clock, from_ms, to_ms
from broadcast_core.config import Settings
from broadcast_core.errors import NotFound, Rejected, RejectReason, StorageFailed
from broadcast_core.i18n import Sentence, _
from broadcast_core.library import rows
from broadcast_core.library.inbox import Inbox, Upload, on_disk
from broadcast_core.library.item import (
    Admit,
    Change,
    Details,
    ItemKind,
    MediaItem,
    Saying,
    UsersOf,
    Wanted,
    always,
    check_expiry,
    check_saying,
    check_words,
    checked,
    id_of,
    nobody,
)
from broadcast_core.library.verdict import judged
from broadcast_core.render.spoken import read_aloud
from broadcast_core.store import Store

log = structlog.get_logger(__name__)

_MIME_TYPE: Final = "audio/mpeg"


@dataclass(frozen=True, kw_only=True, slots=True)
class Added:
    """An item that is stored. `repeated`: it had been before, and is as it was."""

    item: MediaItem
    repeated: bool


class Library:
    """Items for peacetime. One is prepared at a time, by processes that give way to everything an alert needs."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        media: MediaStore,
        clock: Clock,
        admit: Admit = always,
        users_of: UsersOf = nobody,
        program: Sequence[str] = speech.ESPEAK,
    ) -> None:
        self._settings, self._store, self._media, self._clock = settings, store, media, clock
        self._admit, self._users_of, self._program = admit, users_of, program
        limits = settings.library
        self._inbox = Inbox(settings.uploads_dir, limits.largest_bytes, limits.uploads_at_once, admit)
        self._desk = asyncio.Lock()  # whoever prepares an item
        self._files = asyncio.Lock()  # a file and its row come and go together

    async def open(self) -> None:
        """Remove what a crash left of uploads; once, at the start. Raises StorageFailed."""
        await on_disk(self._inbox.sweep)

    @property
    def today(self) -> date:
        """The local date, by which items expire."""
        return self._clock.now().astimezone(self._settings.zone_info).date()

    def receiving(self, expected: int | None = None) -> AbstractAsyncContextManager[Upload]:
        """Where to write an upload to; see `Inbox.receiving`. Then `add` it before the context is left."""
        return self._inbox.receiving(expected)

    async def add(self, upload: Upload, details: Details, *, actor: str) -> Added:
        """Make an item of an upload, or refuse it. The same bytes again give the same item.

        Raises Rejected (MEDIA_REFUSED, ATTENTION_TONE, STORAGE_RESERVED; or for `details`), StorageFailed.
        """
        details = checked(details, self.today)
        source = await upload.finish()
        if (known := await self._known(source)) is not None:
            return known
        limits, voice = self._settings.library, self._settings.voice
        job = mastering.master_job(voice, recording=True, fade_in_s=limits.fade_in_s, fade_out_s=limits.fade_out_s)
        async with self._desk:
            master = await mastering.master_recording(upload.path, job, self._recording_limits())
        return await self._keep(
            self._item(master, ItemKind.AUDIO, details, source, actor, notes=judged(master, job)), master
        )

    async def say(self, saying: Saying, details: Details, *, actor: str) -> Added:
        """Make an item of words. The same words, said in the same way, give the same item.

        Raises Rejected, NotFound for an unknown bed, StorageFailed.
        """
        details = checked(details, self.today)
        check_saying(saying)
        bed = None if saying.bed is None else await self.get(saying.bed)
        voice = self._settings.voice
        spoken = (saying.texts, saying.chime, bed and bed.sha256, voice.rate_wpm, tuple(self._program))
        source = hashlib.sha256(msgspec.json.encode(spoken)).hexdigest()
        if (known := await self._known(source)) is not None:
            return known
        job = replace(
            mastering.master_job(voice, recording=False, fade_out_s=0.01), chime=saying.chime, bed=bed is not None
        )
        async with self._desk:
            parts = [await self._spoken(saying, index) for index in range(len(saying.texts))]
            if bed is not None:
                parts.append(await self._sound_of(bed))
            master = await mastering.master_parts(parts, job, self._settings.library.prepare_s)
        item = self._item(master, ItemKind.TEXT, details, source, actor, notes=judged(master, job))
        return await self._keep(replace(item, texts=saying.texts), master)

    async def get(self, item_id: str) -> MediaItem:
        """Raises NotFound, StorageFailed."""
        async with self._store.read() as connection:
            return await rows.find(connection, item_id)

    async def everything(self) -> tuple[MediaItem, ...]:
        """All items, for who plans with them."""
        async with self._store.read() as connection:
            return await rows.everything(connection)

    async def page(self, wanted: Wanted) -> tuple[tuple[MediaItem, ...], str | None, int]:
        """Items, newest first; the next page's `before`, None at the end; and how many there are in all."""
        async with self._store.read() as connection:
            items, more, total = await rows.page(connection, wanted, self.today)
        return items, items[-1].id if more else None, total

    async def file(self, item_id: str) -> MediaFile:
        """The sound of an item. Raises NotFound, also when the file is gone from the disk, and StorageFailed."""
        item = await self.get(item_id)
        found = await on_disk(self._media.find, item.sha256)
        if found is None:
            log.error("the file of an item is missing", item=item_id, sha256=item.sha256)
            raise NotFound("media", item_id)
        return found

    async def change(self, item_id: str, change: Change, *, actor: str) -> MediaItem:
        """Raises Rejected, NotFound, StorageFailed."""
        check_words(change.title, change.licence)
        check_expiry(change.expires_on, self.today)
        now = self._clock.now()
        return await self._store.write(partial(rows.alter, item_id=item_id, change=change, actor=actor, now=now))

    async def remove(self, item_id: str, *, actor: str) -> MediaItem:
        """Delete an item and, if no other has the same sound, its file; what it was.

        Raises InUse, NotFound, StorageFailed.
        """
        item, now = await self.get(item_id), self._clock.now()
        job = partial(rows.remove, item_id=item_id, users_of=self._users_of, actor=actor, now=now)
        async with self._files:
            unneeded = await self._store.write(job)
            if unneeded is not None:
                try:
                    await on_disk(self._media.remove, unneeded)
                except StorageFailed:  # the item is gone; the file only takes up room
                    log.exception("the file of a removed item stays", sha256=unneeded)
        return item

    def _recording_limits(self) -> mastering.RecordingLimits:
        limits = self._settings.library
        return mastering.RecordingLimits(
            shortest_s=limits.shortest_s,
            longest_s=limits.longest_s,
            wall_s=limits.prepare_s,
            cpu_s=round(limits.prepare_s / 2),
        )

    async def _known(self, source_sha256: str) -> Added | None:
        async with self._store.read() as connection:
            item = await rows.by_source(connection, source_sha256)
        if item is None or await on_disk(self._media.find, item.sha256) is None:
            return None
        return Added(item=item, repeated=True)

    async def _spoken(self, saying: Saying, index: int) -> Pcm:
        part = saying.texts[index]
        field = f"texts[{index}]"
        if self._settings.voice.engine == "none":
            raise Rejected(RejectReason.MEDIA_REFUSED, _("Speech is switched off in the settings."), field)
        words = read_aloud(part.text, part.language.replace("_", "-").split("-")[0].lower())
        try:
            return await speech.say(
                words,
                part.language,
                words_per_minute=self._settings.voice.rate_wpm,
                timeout=self._settings.library.speech_s,
                program=self._program,
            )
        except speech.SpeechFailed as failure:
            raise Rejected(RejectReason.MEDIA_REFUSED, failure.sentence, field) from failure

    async def _sound_of(self, bed: MediaItem) -> Pcm:
        file = await self.file(bed.id)
        return await decode.decode(await on_disk(file.path.read_bytes), self._settings.voice.sample_rate)

    def _item(
        self,
        master: Master,
        kind: ItemKind,
        details: Details,
        source_sha256: str,
        actor: str,
        notes: tuple[Sentence, ...],
    ) -> MediaItem:
        return MediaItem(
            id=id_of(source_sha256),
            kind=kind,
            title=details.title,
            sha256=hashlib.sha256(master.mp3).hexdigest(),
            source_sha256=source_sha256,
            size=len(master.mp3),
            mime_type=_MIME_TYPE,
            duration=timedelta(milliseconds=round(master.seconds * 1000)),
            lufs=round(master.lufs, 2),
            true_peak_dbtp=round(master.true_peak_dbtp, 2),
            waveform=master.waveform,
            texts=(),
            notes=notes,
            uploader=actor,
            licence=details.licence,
            expires_on=details.expires_on,
            resume=details.resume,
            created_at=from_ms(to_ms(self._clock.now())),
        )

    async def _keep(self, item: MediaItem, master: Master) -> Added:
        """The file first: a row whose sound is missing could be scheduled, a file without a row only takes room."""
        self._admit(len(master.mp3))
        async with self._files:
            await on_disk(self._media.put, master.mp3, _MIME_TYPE)
            stored, repeated = await self._store.write(partial(rows.add, item=item))
        log.info("media item", id=stored.id, repeated=repeated, lufs=stored.lufs, actor=item.uploader)
        return Added(item=stored, repeated=repeated)
