"""The way to a real provider on loopback, over TLS: what is asked how often, and every way in which it is away."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs
from structlog.testing import capture_logs

from gateway.configuration.oidc_settings import OidcSettings
from gateway.console.oidc.provider_link import FRESH_S, RETRY_S, ProviderLink
from policies.console.oidc_login import authorization_query, begin, read_tokens, token_form
from policies.errors import NotAuthenticated, PolicyUnavailable
from tests.fakes import ManualClock
from tests.oidc_provider import KEY, Provider, oidc_provider
from tests.outbound import ANY_HOST
from tests.tokens import issuer

BACK = "https://localhost:8445/oidc/callback"
DOCUMENT, TOKEN, KEYS = "/.well-known/openid-configuration", "/token", "/keys"


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[Provider]:
    async with oidc_provider(tmp_path, redirect_uris=[BACK]) as found:
        yield found


def opened(provider: Provider, clock: ManualClock, **changes: Any) -> ProviderLink:
    values = {
        "issuer": provider.issuer,
        "client_id": provider.client_id,
        "client_secret_file": "unused",
        "ca_file": str(provider.ca_file),
        **changes,
    }
    return ProviderLink(OidcSettings(**values).client(), provider.client_secret, ANY_HOST, clock)


@pytest.fixture
async def link(provider: Provider) -> AsyncIterator[tuple[ProviderLink, ManualClock]]:
    clock = ManualClock()
    found = opened(provider, clock)
    yield found, clock
    await found.close()


async def redeem(link: ProviderLink, provider: Provider, **changes: str) -> bytes:
    """One sign-in as far as the token endpoint's answer."""
    login = begin(lambda count: b"r" * count)
    asked = authorization_query(login, provider.client_id, BACK, ("openid",))
    code = provider.authorized(asked, "ada").partition("code=")[2].partition("&")[0]
    return await link.redeem(await link.endpoints(), {**token_form(login, code, BACK), **changes})


async def test_one_document_and_one_key_set_for_many_sign_ins(
    provider: Provider, link: tuple[ProviderLink, ManualClock]
) -> None:
    way, clock = link
    for _ in range(3):
        assert read_tokens(await redeem(way, provider)).access_token
        assert (await way.keys_for(KEY)).has(KEY)
        clock.move(FRESH_S / 3 - 1)
    assert (provider.asked[DOCUMENT], provider.asked[TOKEN], provider.asked[KEYS]) == (2, 3, 1)
    clock.move(FRESH_S)
    await way.endpoints()
    await way.keys_for(KEY)
    assert (provider.asked[DOCUMENT], provider.asked[KEYS]) == (3, 2)


@pytest.mark.parametrize("ways", [["client_secret_basic"], ["client_secret_post"]])
async def test_the_secret_is_shown_in_one_place_alone(provider: Provider, ways: list[str]) -> None:
    provider.misconduct.document = lambda good: {**good, "token_endpoint_auth_methods_supported": ways}
    way = opened(provider, ManualClock())
    assert read_tokens(await redeem(way, provider)).access_token
    await way.close()
    ((form, shown),) = provider.redeeming
    in_header = (
        base64.b64decode(shown.removeprefix("Basic ")).decode() == f"{provider.client_id}:{provider.client_secret}"
    )
    assert (in_header, form.get("client_secret") == provider.client_secret) == (
        (True, False) if ways == ["client_secret_basic"] else (False, True)
    )
    assert form["client_id"] == provider.client_id


async def test_a_code_that_the_provider_does_not_take(
    provider: Provider, link: tuple[ProviderLink, ManualClock]
) -> None:
    for change in (
        {"code": "other"},
        {"code_verifier": "v" * 43},
        {"redirect_uri": "https://localhost:1/oidc/callback"},
    ):
        with pytest.raises(NotAuthenticated) as refused:
            await redeem(link[0], provider, **change)
        assert refused.value.reason == "oidc_code"


async def test_while_the_provider_is_away_one_in_five_seconds_waits(
    provider: Provider, link: tuple[ProviderLink, ManualClock]
) -> None:
    way, clock = link
    provider.misconduct.down = True
    with capture_logs() as logs:
        for _ in range(3):
            for _ in range(20):
                with pytest.raises(PolicyUnavailable):
                    await way.endpoints()
            clock.move(RETRY_S)
    assert provider.asked[DOCUMENT] == 3
    assert [each["event"] for each in logs] == ["identity_provider_fault"]
    provider.misconduct.down = False
    assert (await way.endpoints()).issuer == provider.issuer


async def test_what_the_provider_says_of_its_fault_is_not_repeated(
    provider: Provider, link: tuple[ProviderLink, ManualClock]
) -> None:
    await link[0].endpoints()
    provider.misconduct.status = 400
    provider.misconduct.answer = lambda _good: {"error": "a secret of theirs"}
    with capture_logs() as logs, pytest.raises(PolicyUnavailable):
        await redeem(link[0], provider)
    assert "secret" not in json.dumps(logs)
    assert provider.client_secret not in json.dumps(logs)


async def test_a_wrong_secret_is_a_fault_of_ours(provider: Provider, link: tuple[ProviderLink, ManualClock]) -> None:
    provider.client_secret = "another"  # as if it had been renewed there
    with capture_logs() as logs, pytest.raises(PolicyUnavailable):
        await redeem(link[0], provider)
    assert "invalid_client" in logs[0]["cause"]


@pytest.mark.parametrize(
    "changes",
    [
        {"ca_file": None},
        {"ca_file": "/nowhere.pem"},
        {"ca_file": "/dev/null"},
    ],
)
async def test_a_provider_that_cannot_be_trusted(provider: Provider, changes: dict[str, Any]) -> None:
    way = opened(provider, ManualClock(), **changes)
    with capture_logs() as logs, pytest.raises(PolicyUnavailable):
        await way.endpoints()
    assert len(logs) == 1
    await way.close()
    assert provider.asked.total() == 0


async def test_a_document_of_another_issuer(provider: Provider, link: tuple[ProviderLink, ManualClock]) -> None:
    provider.misconduct.document = lambda good: {**good, "issuer": "https://evil.example"}
    with capture_logs() as logs, pytest.raises(PolicyUnavailable):
        await link[0].endpoints()
    assert "evil" not in json.dumps(logs)


async def test_no_redirect_is_followed_with_the_secret(
    provider: Provider, link: tuple[ProviderLink, ManualClock]
) -> None:
    provider.misconduct.status = 307
    with pytest.raises(PolicyUnavailable):
        await redeem(link[0], provider)
    assert provider.asked[TOKEN] == 1


def test_an_issuer_without_discovery_is_no_provider(tmp_path: Path) -> None:
    client = OidcSettings(issuer="https://id.example", client_id="c", client_secret_file="s").client()
    with pytest.raises(ValueError, match="discovery"):
        ProviderLink(structs.replace(client, issuer=issuer()), "s", ANY_HOST, ManualClock())
