"""The schedule as iCalendar (RFC 5545), out and in.

What iCalendar has no word for is in `X-TOCSIN-…` properties; a file of ours comes back as it was. An event of
somebody else becomes a `Proposal`: when and how long, but not where and what, until a person adds zones and a
playlist.
"""

from scheduler.ics.proposal import Proposal
from scheduler.ics.read import Imported, RefusedComponent, read
from scheduler.ics.write import write

__all__ = ["Imported", "Proposal", "RefusedComponent", "read", "write"]
