"""What a speaker is given before it is hung on a wall: its own key, whom to trust, and where the broker is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from broadcast_core.config import Mqtt, Settings
from broadcast_core.keys import EndpointKeys, read_secret, signing_keys
from broadcast_core.model import Channel, Domain, Endpoint
from broadcast_core.registry import rows
from broadcast_core.signing import LocalSigner
from broadcast_core.store import Store
from drivers.ip_speaker.wire import provision
from drivers.ip_speaker.wire.provision import Broker, Provision, SpeakerKey


async def provision_from(
    settings: Settings, chosen: Callable[[Endpoint], bool] = lambda _speaker: True, *, here: bool = False
) -> bytes:
    """The provision file of an installation's `chosen` speakers, from its data directory; nothing is changed.

    With `here` they run on the core's machine and reach the broker where the core does. Raises FileNotFoundError or
    StorageFailed if the core has not been started on it yet; OSError or InsecureSecret for their password's file.
    """
    if not settings.secrets_dir.exists():
        raise FileNotFoundError(f"{settings.secrets_dir}: start the core once, it makes the keys")
    signer = LocalSigner(signing_keys(settings.secrets_dir))
    async with Store.reading(settings.database_url) as store:
        keys = await EndpointKeys.load(store)
        registry = await rows.load(store)
    speakers = sorted(e.id for e in registry.endpoints.values() if e.channel is Channel.SPEAKER and chosen(e))
    login = settings.mqtt.speakers
    password = None if login.password_file is None else read_secret(login.password_file).decode().strip()
    mqtt = settings.mqtt if here else _as_they_see_it(settings.mqtt)
    return provision_file(mqtt, signer, keys, speakers, username=login.username, password=password)


def _as_they_see_it(mqtt: Mqtt) -> Mqtt:
    login = mqtt.speakers.model_dump(include={"host", "port", "tls"}, exclude_none=True)
    return mqtt.model_copy(update=login)


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
