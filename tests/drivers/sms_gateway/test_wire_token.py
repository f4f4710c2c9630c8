"""A report names its delivery by a token that only we could have written, and that outlives a restart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcast_core.model import DeliveryKey, DeliveryKind
from drivers.sms_gateway.wire_token import Reported, Tokens

SECRET = bytes(range(32))
KEY = DeliveryKey(alert_id="01JD3Q8B8ZC7", revision=3, kind=DeliveryKind.START, endpoint_id="sms-00042")


def test_vectors_of_the_protocol_page() -> None:
    tokens = Tokens(SECRET)
    assert tokens.path() == "/dlr/nFD-Q9uUeCMnQAo3"
    assert tokens.encode(KEY, 1) == "AQMBDDAxSkQzUThCOFpDN3Ntcy0wMDA0MjQ3_gqoqw3MA6qxoA"


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 2**40), st.integers(1, 300))
def test_a_token_reads_back_as_what_was_written(alert: str, endpoint: str, revision: int, attempt: int) -> None:
    key = DeliveryKey(alert_id=alert, revision=revision, kind=DeliveryKind.START, endpoint_id=endpoint)
    written_before_a_restart = Tokens(SECRET).encode(key, attempt)
    assert Tokens(SECRET).decode(written_before_a_restart) == Reported(key=key, attempt=attempt)


def test_a_token_under_another_secret_is_a_strangers() -> None:
    assert Tokens(SECRET).decode(Tokens(SECRET[::-1]).encode(KEY, 1)) is None


def test_no_change_of_one_character_is_believed() -> None:
    tokens = Tokens(SECRET)
    token = tokens.encode(KEY, 1)
    for at in range(len(token)):
        for other in "Ab9-_":
            bent = token[:at] + other + token[at + 1 :]
            assert bent == token or tokens.decode(bent) is None


@given(st.one_of(st.text(), st.binary().map(bytes.hex), st.just("A" * 100_000), st.just("=")))
def test_whatever_comes_instead_of_a_token_is_refused_quietly(anything: str) -> None:
    assert Tokens(SECRET).decode(anything) is None


def test_the_path_fits_the_columns_that_gateways_store_it_in() -> None:
    long_key = DeliveryKey(
        alert_id="urn:uuid:0192f0c1-7b1e-7c3f-9d5a-3c2b1a000001",
        revision=999,
        kind=DeliveryKind.START,
        endpoint_id="430103-sms-recipient-0000012345",
    )
    tokens = Tokens(SECRET)
    url = "https://broadcast.tianxin.example:8792" + tokens.path(tokens.encode(long_key, 99)) + "?type=%d"
    assert len(url) < 255  # Kannel's DLR tables in a database are VARCHAR(255)


def test_the_path_opens_with_its_own_secret_only() -> None:
    tokens = Tokens(SECRET)
    assert tokens.opens(tokens.path_secret)
    assert not tokens.opens("")
    assert not tokens.opens(tokens.path_secret[:-1])
    assert not tokens.opens("\udcff字")


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        Tokens(b"short")


def test_an_id_that_does_not_fit_is_refused_rather_than_cut() -> None:
    key = DeliveryKey(alert_id="a" * 256, revision=1, kind=DeliveryKind.START, endpoint_id="s")
    with pytest.raises(ValueError, match="255 bytes"):
        Tokens(SECRET).encode(key, 1)
