"""The library as the schedule sees it: what may be played, and who still needs it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from broadcast_core.clock import Clock, to_ms
from broadcast_core.library import Library, MediaItem, User
from broadcast_core.model import DeliveryKind, MessageKind, Progress
from broadcast_core.store.schema import alert, delivery, playlist
from scheduler.model import Item, ItemKind
from scheduler.record import playlist_of

_KINDS: Final = {"audio": ItemKind.AUDIO, "text": ItemKind.TEXT}


class Shelf:
    """`base_url` is where speakers fetch from."""

    def __init__(self, library: Library, base_url: str) -> None:
        self._library = library
        self._base_url = base_url

    async def items(self) -> Mapping[str, Item]:
        """Every item there is now. Raises StorageFailed."""
        return {item.id: self._item(item) for item in await self._library.everything()}

    def _item(self, item: MediaItem) -> Item:
        return Item(
            id=item.id,
            title=item.title,
            audio=item.reference(self._base_url),
            loudness_lufs=item.lufs,
            resume=item.resume,
            kind=_KINDS[item.kind],
            expires_on=item.expires_on,
        )


class Users:
    """Who needs an item: the library's port, asked inside the transaction that would delete it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def of(self, connection: AsyncConnection, item_id: str) -> Sequence[User]:
        """The playlists that have it, and what has been sent ahead with it, as long as it is neither over nor taken
        back from every speaker."""
        bodies = (await connection.execute(select(playlist.c.body))).scalars().all()
        lists = [playlist_of(msgspec.json.decode(body)) for body in bodies]
        users = [
            User(kind="playlist", id=p.id, name=p.name) for p in lists if item_id in p.items or item_id == p.chime
        ]
        stops = delivery.alias()
        ahead = select(alert.c.alert_id, alert.c.cap).where(
            alert.c.kind == MessageKind.SLOT.value,
            alert.c.expires > to_ms(self._clock.now()),
            alert.c.ended_at.is_(None),
            alert.c.starts.contains(f'"{item_id}"', autoescape=True),
            exists().where(
                delivery.c.alert_id == alert.c.alert_id,
                delivery.c.revision == alert.c.revision,
                delivery.c.kind == DeliveryKind.START.value,
                delivery.c.progress < int(Progress.EXPIRED),
                ~exists().where(
                    stops.c.alert_id == delivery.c.alert_id,
                    stops.c.revision >= delivery.c.revision,
                    stops.c.endpoint_id == delivery.c.endpoint_id,
                    stops.c.kind == DeliveryKind.STOP.value,
                ),
            ),
        )
        for row in await connection.execute(ahead):
            name = msgspec.json.decode(row.cap)["info"][0]["headline"]  # the slot's, as on the day it was sent
            users.append(User(kind="occurrence", id=row.alert_id, name=name))
        return users
