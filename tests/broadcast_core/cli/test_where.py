"""Where the core is, read without the settings' own machinery: the same as the settings say."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from broadcast_core.cli.where import Where, where
from broadcast_core.config import Settings

FILES = {
    "nothing": "",
    "an address": '[api]\nhost = "10.0.0.1"\nport = 8888\n',
    "a public address": '[api]\nport = 8888\npublic_url = "https://alert.example/tocsin"\n',
    "a data directory": 'data_dir = "/srv/tocsin"\n[mqtt]\nport = 1884\n',
}
VARIABLES: tuple[dict[str, str], ...] = (
    {},
    {"TOCSIN_API__PORT": "9999"},
    {"TOCSIN_API__HOST": "10.9.9.9", "TOCSIN_API__PORT": "9999", "TOCSIN_DATA_DIR": "/srv/other"},
    {"TOCSIN_API": '{"port": 7777}'},
)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOCSIN_URL", "TOCSIN_TOKEN_FILE", "TOCSIN_CONFIG", "TOCSIN_LANG"):
        monkeypatch.delenv(name, raising=False)


def as_the_settings_have_it(file: Path | None) -> Where:
    settings = Settings.load(file)
    url = settings.api.public_url or f"http://{settings.api.host}:{settings.api.port}"
    return Where(url=url, token_file=settings.secrets_dir / "api-token")


@pytest.mark.parametrize("variables", VARIABLES, ids=lambda variables: ",".join(variables) or "none")
@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_it_is_where_the_settings_say(
    text: str, variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tocsin.toml"
    file.write_text(text)
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert where() == as_the_settings_have_it(file)


def test_without_a_file_the_defaults_are_those_of_the_settings() -> None:
    assert where() == as_the_settings_have_it(None)


def test_a_slip_in_another_section_does_not_stand_before_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tocsin.toml"
    file.write_text('data_dir = "/srv/tocsin"\n[mqtt]\nprot = 1884\n')
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    assert where() == Where(url="http://127.0.0.1:8790", token_file=Path("/srv/tocsin/secrets/api-token"))


@pytest.mark.parametrize("text", [None, "[api\n", '[api]\nport = "many"\n', "data_dir = 3\n", "api = 3\n"])
def test_settings_that_cannot_be_used_are_exit_code_2(
    text: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tocsin.toml"
    if text is not None:
        file.write_text(text)
    monkeypatch.setenv("TOCSIN_CONFIG", str(file))
    with pytest.raises(typer.Exit) as ended:
        where()
    assert ended.value.exit_code == 2
    said = capsys.readouterr().err
    assert str(file) in said or "api" in said or "data_dir" in said


@pytest.mark.parametrize("held", [None, b"", b"\xff\xfe", "令牌".encode(), b"two words", b"a\nb"])
def test_a_file_that_holds_no_token_is_exit_code_2_and_named(
    held: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "api-token"
    if held is not None:
        file.write_bytes(held)
    with pytest.raises(typer.Exit) as ended:
        Where(url="http://127.0.0.1:8790", token_file=file).token()
    assert ended.value.exit_code == 2
    assert str(file) in capsys.readouterr().err
