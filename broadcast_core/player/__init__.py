"""Who sounds, interrupts, resumes, and at which position: the one player of Tocsin.

Used by the core's preview and explanation, by the simulated speaker, and by whoever builds a real one
(docs/protocols/ip-speaker.md, "Player", says the same; tests/golden/player holds test vectors). Pure; whole
milliseconds. `mono` is the device's own clock, `utc` its signed one.

**The turn.** An item is due from `starts_at` until it ends. Of those that are due one has the turn: class,
authority, level, urgency, certainty decide, and only more than what has the turn takes it away; equal never does.
When the turn is free the heaviest of those that wait gets it, of these the older, of these the smaller identifier.
Hence interrupted interruptions unwind in order, and when nothing is due the speaker is idle.

**An announcement** is a tone that repeats until the audio is there (within patience), then the audio. It begins at
or before `expires`, and what has begun plays to its end. Interrupted, it goes on by its rule when it has the turn
again: POSITION where it was, START from the tone on, SKIP never (it ends at once, `preempted`), LIVE where it would
be had it not been interrupted (`preempted` if that is past its end). Nothing comes back after `expires`.

**A programme** is clips at places: `starts_at` + offset + shift, by the signed clock; the shift is 0 at first. It
has the turn from its start to its end, gaps included, and ends with its last clip, or in mid-clip at `expires`.

* Late by no more than `grace`: it begins at its beginning and the shift is the lateness. Later, by its late rule:
  JOIN to where the clock says it is, SKIP not at all (`expired`, or `preempted` if something took its time).
* A clip whose place comes while it has the turn sounds; late by more than `grace` (the clock was set, the clip
  before ran over): JOIN from where the clock says, SKIP not. Clips that are wholly passed are left out (`expired`).
* A clip whose audio is not there when its time comes, or is bad, is silence for its time, noted with the reason;
  the next clip comes at its own place. Audio that comes later is too late for it.
* When the turn comes back, the clip that was interrupted (in a gap: the next one, if its place has passed) decides.
  POSITION: it goes on where it was, and START: it begins again; the shift grows so that the rest follows in the
  same rhythm. SKIP: the next clip whose place is still to come, at its place. LIVE: the shift is 0 again, and it
  joins where the clock says. What is passed over is `preempted`.

**The mode.** In EMERGENCY no publicity has the turn: what sounds is interrupted, none begins, and nothing sounds
below the volume floor, from the moment the mode is set. Back in PEACETIME what is due plays, each by its rules
above.

**A higher revision** replaces the lower one, which ends `stopped`. A programme that had begun goes on without a gap
if its clip (item, audio, place) is in the new revision too, else it joins where the clock says, whatever the late
rule.

**A stop** ends what it names. **A restart**: what waited waits; an announcement that had begun has failed
(`interrupted`); a programme that had begun joins where the clock says, or by SKIP has failed (`interrupted`). The
mode is remembered. **A lost connection** changes nothing. **A clock that is set** moves what is to come, not what
sounds.

**Sums.** A programme ends with one `Play` for each of its items: how often to the end, how many ms altogether, and
why it was not played to its end if ever it was not. The ms of all of them are what sounded.
"""

from broadcast_core.player.choosing import AnyTrack, Player
from broadcast_core.player.explaining import Other, Why, others
from broadcast_core.player.items import (
    LEAVE_VOLUME,
    Announcement,
    Change,
    Clip,
    Ended,
    Instant,
    Item,
    NotForSpeakers,
    Play,
    Programme,
    Sound,
    SoundBegan,
    SoundEnded,
    Started,
    item_of,
)
from broadcast_core.player.programme import Checkpoint, ProgrammeTrack
from broadcast_core.player.timeline import (
    Arrived,
    ClockSet,
    Event,
    ModeSet,
    Restarted,
    Stopped,
    Stretch,
    Supplied,
    Timeline,
    in_store,
    timeline,
)

__all__ = [
    "LEAVE_VOLUME", "Announcement", "AnyTrack", "Arrived", "Change", "Checkpoint", "Clip", "ClockSet", "Ended",
    "Event", "Instant", "Item", "ModeSet", "NotForSpeakers", "Other", "Play", "Player", "Programme", "ProgrammeTrack",
    "Restarted", "Sound", "SoundBegan", "SoundEnded", "Started", "Stopped", "Stretch", "Supplied", "Timeline", "Why",
    "in_store", "item_of", "others", "timeline",
]  # fmt: skip
