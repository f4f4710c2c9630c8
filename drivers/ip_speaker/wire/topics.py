"""Names of the MQTT topics. One tree for each domain, so that an ACL can part live from drill."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from broadcast_core.model import Domain


class Up(StrEnum):
    """What an endpoint publishes to."""

    RECEIPT = "receipt"
    HELLO = "hello"
    ALIVE = "alive"


@dataclass(frozen=True, slots=True)
class Topics:
    """The tree under `prefix` (``tocsin/1``) of one domain."""

    prefix: str
    domain: Domain

    @property
    def root(self) -> str:
        return f"{self.prefix}/{self.domain}"

    @property
    def beacon(self) -> str:
        """Signed time, for everybody."""
        return f"{self.root}/beacon"

    def own(self, endpoint_id: str) -> str:
        """The endpoint's own topic."""
        return f"{self.root}/down/{endpoint_id}"

    def zone(self, code: str, shard: int) -> str:
        """One shard of a zone's topic. Which shard is the device's, its orders say."""
        return f"{self.root}/zone/{code}/{shard}"

    def up(self, endpoint_id: str, what: Up) -> str:
        return f"{self.root}/up/{endpoint_id}/{what}"

    def all_up(self, what: Up) -> str:
        """The core's subscription to what all endpoints say."""
        return f"{self.root}/up/+/{what}"

    def endpoint_of(self, topic: str) -> str:
        """The endpoint id in an `up` topic."""
        return topic.rsplit("/", 2)[1]
