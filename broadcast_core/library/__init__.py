"""The library: recordings and texts that may sound in peacetime, each prepared once and safe to play.

Library     add, say, list, change, remove
MediaItem   one item; the schedule names it by `id`
User        what still needs an item: the port that the schedule's store fills
"""

from broadcast_core.library.inbox import Upload
from broadcast_core.library.item import (
    Change,
    Details,
    InUse,
    ItemKind,
    MediaItem,
    Saying,
    TextPart,
    User,
    Wanted,
)
from broadcast_core.library.library import Added, Library

__all__ = [
    "Added",
    "Change",
    "Details",
    "InUse",
    "ItemKind",
    "Library",
    "MediaItem",
    "Saying",
    "TextPart",
    "Upload",
    "User",
    "Wanted",
]
