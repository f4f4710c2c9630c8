"""From where an alert is meant to what goes to whom. Pure: no I/O, no clock.

`expression` is where, as it was said; `area_text` is how people write it; `resolve` finds the endpoints; `cover`
finds the fewest messages that reach the speakers among them; `deliveries` puts the plan together.
"""

from broadcast_core.plan.area_text import areas_of, format_area, parse_area, parse_areas
from broadcast_core.plan.cover import Cover, cover
from broadcast_core.plan.deliveries import make_plan, on_their_own
from broadcast_core.plan.expression import Expression, expression_of, from_builtins, to_builtins
from broadcast_core.plan.resolve import notes_of, resolve

__all__ = [
    "Cover",
    "Expression",
    "areas_of",
    "cover",
    "expression_of",
    "format_area",
    "from_builtins",
    "make_plan",
    "notes_of",
    "on_their_own",
    "parse_area",
    "parse_areas",
    "resolve",
    "to_builtins",
]
