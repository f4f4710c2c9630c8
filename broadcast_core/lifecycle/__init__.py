"""What a CAP message means for those before it, and what it is worth. Pure, no I/O.

Messages name each other by `references` and may come in any order. Messages that are linked so, directly or through
others, are one chain. Of a chain the newest message sounds, unless a Cancel of any of its messages was sent after it:

- what was cancelled or replaced before it came never sounds;
- a Cancel ends the whole chain, also when it names only an old generation of it, but not what its sender issued
  after it: a late Cancel silences nothing newer;
- an Update sent after its chain was ended (by a person, a Cancel, another chain, or time) is a new act and goes out.

Whatever the order of arrival, the end is the same: `tests/broadcast_core/test_lifecycle.py` proves it.

    decision = decide(alert, known, cancelled, now, default_lifetime)
    lesson = learn(alert, decision, known, expires)     # to be remembered in the transaction that accepts the alert
"""

from broadcast_core.lifecycle.chain import decide, learn
from broadcast_core.lifecycle.decision import (
    Await,
    Begin,
    Decision,
    End,
    Ends,
    Known,
    Lesson,
    Revise,
    Suppress,
    SuppressCause,
    alert_id_of,
)
from broadcast_core.lifecycle.worth import (
    CLASS_PARAMETER,
    LEVEL_PARAMETER,
    LONGEST_LIFETIME,
    expires_of,
    notes_of_lifetime,
    standing_of,
)

__all__ = [
    "CLASS_PARAMETER",
    "LEVEL_PARAMETER",
    "LONGEST_LIFETIME",
    "Await",
    "Begin",
    "Decision",
    "End",
    "Ends",
    "Known",
    "Lesson",
    "Revise",
    "Suppress",
    "SuppressCause",
    "alert_id_of",
    "decide",
    "expires_of",
    "learn",
    "notes_of_lifetime",
    "standing_of",
]
