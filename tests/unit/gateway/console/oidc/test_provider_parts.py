"""From the settings to the parts: the secret's file, and where sign-ins under way are kept."""

from pathlib import Path

import pytest

from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import Config, ConsoleSettings, StoreSettings
from gateway.console.oidc.login_store import OwnLogins
from gateway.console.oidc.provider_parts import ClientSecretFault, open_provider, read_secret
from gateway.console.oidc.redis_logins import RedisLogins
from tests.fakes import ManualClock

SETTINGS = OidcSettings(issuer="https://id.example", client_id="corral", client_secret_file="tls/secret")
CONSOLE = ConsoleSettings(enabled=True, oidc=SETTINGS)


@pytest.mark.parametrize("text", ["s3cret~", "s3cret~\n", "  s3cret~ \r\n"])
def test_the_secret_is_the_files_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "secret").write_text(text)
    assert read_secret(tmp_path / "secret") == "s3cret~"


@pytest.mark.parametrize("data", [b"", b"\n", b"two\nlines", b"\xff", b"s" * 5000, b"a\0b"])
def test_a_file_that_holds_no_secret(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "secret").write_bytes(data)
    with pytest.raises(ClientSecretFault, match="client_secret_file") as fault:
        read_secret(tmp_path / "secret")
    assert "two" not in str(fault.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ClientSecretFault, match="No such file"):
        read_secret(tmp_path / "secret")


async def test_one_gateway_keeps_sign_ins_itself_and_more_share_them(tmp_path: Path) -> None:
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls/secret").write_text("s")
    alone = open_provider(Config(console=CONSOLE), tmp_path, ManualClock())
    several = Config(console=CONSOLE, store=StoreSettings(url="redis+unix:///nowhere.sock"))
    shared = open_provider(several, tmp_path, ManualClock())
    assert open_provider(Config(), tmp_path, ManualClock()) is None
    assert alone is not None
    assert shared is not None
    assert (type(alone.logins), type(shared.logins)) == (OwnLogins, RedisLogins)
    await alone.close()
    await shared.close()
