"""No mix-up among 100,000 tokens that share their first 20, 64 or 128 characters (LiteLLM CVE-2026-35030).

Each token is a real one, signed with Ed25519, for a person of its own; those of one kind are alike for that many
characters, and differ soon after. They go through the gateway's own verifier with its cache: each is asked for as it is
made, again at once (from memory), and all again in a shuffled order, when most have been forgotten.
"""

import asyncio
import base64
import json
import random
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from gateway.clock import SystemClock
from gateway.tokens.token_verifier import TokenVerifier
from gateway.tokens.verified_cache import MAX_TOKENS
from policies.credentials.credential import JwtCredential
from policies.tokens.issuer import Issuer
from policies.tokens.jwk import KeySet, read_key_set

TOKENS = 100_000
SHARED = (20, 64, 128)
ISSUER = Issuer(issuer="https://id.example", audiences=("corral",), jwks_file="keys.json", team="one")


class Keys:
    """The key set of one key, without a file."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        member = {**OKPAlgorithm.to_jwk(private.public_key(), as_dict=True), "kid": "k"}
        member.pop("key_ops", None)
        self._keys = read_key_set(json.dumps({"keys": [member]}).encode())

    async def fetch(self) -> KeySet:
        """The keys."""
        return self._keys

    async def close(self) -> None:
        """Nothing is open."""


def tokens(private: Ed25519PrivateKey, count: int, shared: int) -> Iterator[tuple[str, str]]:
    """`count` people and their tokens, alike in their first `shared` characters."""
    now_s = int(time.time())
    for number in range(count):
        # base64url spells three bytes in four characters, so what differs begins at this byte of the header.
        start = b'{"x5t":"'.ljust(shared * 3 // 4, b"_")
        head = start + f'{number:06}","alg":"EdDSA","typ":"at+jwt","kid":"k"}}'.encode()
        claims = {"iss": ISSUER.issuer, "aud": "corral", "iat": now_s, "exp": now_s + 3600, "sub": f"{shared}-{number}"}
        signing = f"{_b64(head)}.{_b64(json.dumps(claims).encode())}"
        yield claims["sub"], f"{signing}.{_b64(private.sign(signing.encode()))}"


async def mix_ups(count: int, shared: int) -> dict[str, int]:
    """How often a token of `count` was taken for another's, and what else was seen on the way."""
    private = Ed25519PrivateKey.generate()
    verifier = TokenVerifier(SystemClock(), lambda _issuer: Keys(private), lambda _event, _details: None)
    verifier.take({"id": ISSUER})
    people = dict(tokens(private, count, shared))
    order = list(people.items())
    random.Random(shared).shuffle(order)
    wrong = 0
    for person, text in (*people.items(), *order):
        for _ in range(2):
            wrong += (await verifier.verify(JwtCredential(text), None)).subject != person
    await verifier.close()
    alike = len({text[:shared] for text in people.values()})
    return {"tokens": len(people), "asked": 4 * count, "mixed_up": wrong, "beginnings": alike}


def prove() -> dict[str, object]:
    """All tokens, a third of each kind."""
    figures: dict[str, object] = {"cache_entries": MAX_TOKENS}
    for index, shared in enumerate(SHARED):
        count = TOKENS // len(SHARED) + (index < TOKENS % len(SHARED))
        found = asyncio.run(mix_ups(count, shared))
        print(f"{count} tokens share {shared} characters: {found['mixed_up']} mix-ups")
        assert found["mixed_up"] == 0, f"{found['mixed_up']} mix-ups among tokens that share {shared} characters"
        assert found["beginnings"] == 1, f"not all share {shared} characters"
        figures[f"shared_{shared}"] = found
    return figures


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
