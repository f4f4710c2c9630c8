"""Where the broker is and how to log in."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from broadcast_core.config import Mqtt


@dataclass(frozen=True, slots=True)
class Access:
    """One login for all of the core's connections."""

    settings: Mqtt
    password: str | None

    def tls(self) -> ssl.SSLContext | None:
        """The context of an encrypted connection; None for a plain one."""
        if not self.settings.tls:
            return None
        return ssl.create_default_context(cafile=self.settings.ca_file)
