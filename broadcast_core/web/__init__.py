"""The HTTP API of the core: thin handlers that parse, call and render (docs/api.md).

make_app    the application, from what the core offers its edges
listening   its listener, with limits on what clients may hold of us
"""

from broadcast_core.web.api import make_app
from broadcast_core.web.connections import Limits, listening
from broadcast_core.web.kit import CONNECTIONS

__all__ = ["CONNECTIONS", "Limits", "listening", "make_app"]
