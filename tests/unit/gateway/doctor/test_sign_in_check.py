"""What `corral doctor` says of the identity provider, asked for real."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from gateway.configuration.oidc_settings import OidcSettings
from gateway.configuration.settings import Config, ConsoleSettings
from gateway.doctor.sign_in_check import sign_in_complaints
from tests.oidc_provider import Provider, oidc_provider


def configured(provider: Provider, **changes: Any) -> Config:
    values = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret_file": str(provider.secret_file),
        "ca_file": str(provider.ca_file),
        **changes,
    }
    return Config(console=ConsoleSettings(enabled=True, oidc=OidcSettings(**values)))


async def lines(config: Config) -> list[str]:
    """Asked in a thread, since the check runs a loop of its own."""
    return [each.line for each in await asyncio.to_thread(list, sign_in_complaints(Path("/"), config))]


async def test_a_provider_that_works_is_no_complaint(tmp_path: Path) -> None:
    async with oidc_provider(tmp_path) as provider:
        config = configured(provider)
        assert await lines(config) == []
        assert provider.asked["/keys"] == 1
        closed = replace(config, console=replace(config.console, enabled=False))
        assert await lines(closed) == []
        assert await lines(Config(console=ConsoleSettings(enabled=True))) == []
        assert provider.asked.total() == 3


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"issuer": "https://127.0.0.1:1"}, "could not be had"),
        ({"ca_file": None}, "could not be had"),
        ({"client_secret_file": "/nowhere"}, "client_secret_file /nowhere cannot be read"),
    ],
)
async def test_what_is_wrong_is_named_with_its_remedy(tmp_path: Path, changes: dict[str, Any], text: str) -> None:
    async with oidc_provider(tmp_path) as provider:
        with capture_logs() as logs:
            (line,) = await lines(configured(provider, **changes))
    assert line.startswith("console: ")
    assert text in line
    assert logs == [], "no log line may stand among the doctor's own"


async def test_a_provider_whose_keys_cannot_be_had(tmp_path: Path) -> None:
    async with oidc_provider(tmp_path) as provider:
        provider.misconduct.document = lambda good: {**good, "jwks_uri": "https://evil.example/keys"}
        (line,) = await lines(configured(provider))
    assert "jwks_uri" in line
    assert "evil" not in line
