"""The three siren signals led as one act: by a person, step by step, or by the calendar, once officers confirmed it.

templates  the acts and the calendar as data, checked when read
alerts     one signal as an alert (pure)
rows       acts, events and signals, in and out of the database
desk       the acts: start, next, stop, show; confirm, withdraw
runner     the calendar's clock

Horns sound only from here and from alerts that name a pattern; nothing of the publicity schedule reaches them.
"""

from broadcast_core.siren.desk import SirenDesk
from broadcast_core.siren.runner import SirenRunner
from broadcast_core.siren.templates import templates

__all__ = ["SirenDesk", "SirenRunner", "templates"]
