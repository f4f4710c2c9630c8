"""The voice as intake uses it: words, or a recording that was stored before."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from broadcast_core.audio.media import MediaStore
from broadcast_core.audio.voice import Announcer
from broadcast_core.errors import AlertRejected, RejectReason
from broadcast_core.i18n import _
from broadcast_core.model import Level, Spoken
from broadcast_core.render import Words


class Speaking:
    """See `compose.Speak`."""

    def __init__(self, announcer: Announcer, media: MediaStore) -> None:
        self._announcer = announcer
        self._media = media

    async def __call__(self, words: Sequence[Words], level: Level, clip: str | None) -> Spoken:
        """Raises AlertRejected(MEDIA_REFUSED) if the recording is not stored or cannot be decoded."""
        return await self._announcer.speak(words, level=level, clip=None if clip is None else await self._read(clip))

    async def _read(self, sha256: str) -> bytes:
        file = await asyncio.to_thread(self._media.find, sha256)
        if file is None:
            raise AlertRejected(
                RejectReason.MEDIA_REFUSED,
                _("There is no recording {sha256}: upload it first.", sha256=sha256[:64]),
                "parameter[tocsin:clip]",
            )
        return await asyncio.to_thread(file.path.read_bytes)
