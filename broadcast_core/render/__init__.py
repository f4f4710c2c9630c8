"""From an alert to words: what is said, what displays show, and what phones get, for each of its languages.

Pure: templates and tables are read once, nothing else is touched. What people hear and read lies in
`templates/message/`; users fill in values, never templates.
"""

from broadcast_core.render.words import Words, render

__all__ = ["Words", "render"]
