"""When the player has to be woken."""

from __future__ import annotations

from broadcast_core.clock import from_ms
from broadcast_core.model import Authority, Certainty, Level, SoundClass, Standing, Urgency
from broadcast_core.player import Announcement, Instant, Item, Player, Sound, SoundBegan

STANDING = Standing(
    sound_class=SoundClass.EMERGENCY,
    authority=Authority.DISTRICT,
    level=Level.RED,
    urgency=Urgency.IMMEDIATE,
    certainty=Certainty.OBSERVED,
)


def test_a_start_is_not_lost_when_its_instant_passes_between_two_questions() -> None:
    """Something else happens at the very millisecond of the start, and only then the next wake is asked for."""
    player = Player(lambda name: Sound("tone", 2000), 15_000)
    item = Item(
        identifier="A",
        revision=1,
        standing=STANDING,
        issued_at=from_ms(0),
        starts_at=5000,
        expires=60_000,
        content=Announcement("attention"),
    )
    player.add(item, Instant(0, 0))
    player.advance(Instant(0, 0))
    assert player.next_wake(Instant(10, 10)) == 5000
    for now in (5000, 5001, 9000):
        assert player.next_wake(Instant(now, now)) == 5000
    began = [change for change in player.advance(Instant(9000, 9000)) if isinstance(change, SoundBegan)]
    assert [change.at for change in began] == [9000]
    assert player.next_wake(Instant(9000, 9000)) == 11_000
