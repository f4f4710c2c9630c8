"""What a speaker is given before it is hung on a wall: its own key, whom to trust, and where the broker is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broadcast_core.config import Mqtt, Settings
from broadcast_core.keys import EndpointKeys, signing_keys
from broadcast_core.model import Channel, Domain, Endpoint
from broadcast_core.registry import rows
from broadcast_core.signing import LocalSigner
from broadcast_core.store import Store
from drivers.ip_speaker.wire import provision
from drivers.ip_speaker.wire.provision import Broker, Provision, SpeakerKey


async def provision_from(settings: Settings, chosen: Callable[[Endpoint], bool] = lambda _speaker: True) -> bytes:
    """The provision file of an installation's `chosen` speakers, from its data directory; nothing is changed.

    Raises FileNotFoundError or StorageFailed if the core has not been started on it yet.
    """
    if not settings.secrets_dir.exists():
        raise FileNotFoundError(f"{settings.secrets_dir}: start the core once, it makes the keys")
    signer = LocalSigner(signing_keys(settings.secrets_dir))
    async with Store.reading(settings.database_url) as store:
        keys = await EndpointKeys.load(store)
        registry = await rows.load(store)
    speakers = sorted(e.id for e in registry.endpoints.values() if e.channel is Channel.SPEAKER and chosen(e))
    return provision_file(settings.mqtt, signer, keys, speakers)


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
