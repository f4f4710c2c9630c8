"""What a speaker is given before it is hung on a wall: its own key, whom to trust, and where the broker is."""

from __future__ import annotations

from collections.abc import Iterable

from broadcast_core.config import Mqtt
from broadcast_core.keys import EndpointKeys
from broadcast_core.model import Domain
from broadcast_core.signing import LocalSigner
from drivers.ip_speaker.wire import provision
from drivers.ip_speaker.wire.provision import Broker, Provision, SpeakerKey


def provision_file(
    settings: Mqtt,
    signer: LocalSigner,
    keys: EndpointKeys,
    speakers: Iterable[str],
    *,
    username: str | None = None,
    password: str | None = None,
    domain: Domain = Domain.LIVE,
) -> bytes:
    """The provision file of these speakers. It holds their keys: write it with mode 0600 (`keys.write_secret`)."""
    return provision.encode(
        Provision(
            broker=Broker(
                host=settings.host, port=settings.port, tls=settings.tls, username=username, password=password
            ),
            prefix=settings.prefix,
            domain=domain,
            trusted=signer.trusted(domain),
            speakers=tuple(SpeakerKey(id=s, mac_key=keys.key_of(s)) for s in speakers),
        )
    )
