"""T15 to T24 and T34 on the wire: who is let in, for how much, for how long, and what a stream shows."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bench.proofs.stream_sizes import MOST_SIZES, sizes_of_streams
from gateway.dialects import ollama, openai
from policies.access import Scope
from policies.policy import KeyLimits, Team
from policies.tokens.issuer import Entitlement
from tests.jwt_attacks import PLAYBOOK
from tests.raw.raw_house import PATIENCE_S, RawHouse, raw_house, served, until
from tests.tokens import claims, header, issuer, jwks, sign

MAPPED = {"g-one": Entitlement(team="one"), "g-two": Entitlement(team="two")}
ISSUERS = {"corp": issuer(jwks_file="keys.json", team=None, groups=MAPPED)}
SECURED: list[tuple[str, str, Scope]] = [
    (method, route.path.replace("{model}", "m"), route.scope)
    for route in (*ollama.ROUTES, *openai.ROUTES)
    for method in route.method_names
    if route.scope != "open"
]


def token(*groups: str, **changes: object) -> bytes:
    return sign(claims(groups=list(groups), **changes)).encode()


@asynccontextmanager
async def connected(house: RawHouse) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection, dropped at the end of the block, which is given PATIENCE_S."""
    reader, writer = await asyncio.open_connection("127.0.0.1", house.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield reader, writer
    finally:
        writer.transport.abort()


def as_bearer(house: RawHouse, text: bytes, target: bytes = b"/api/tags") -> bytes:
    return house.request(b"GET", target, (b"Authorization: Bearer " + text,), known=False)


async def test_t15_text_that_fells_backtracking_patterns_is_answered_at_once(house: RawHouse) -> None:
    hostile = ["a" * 100_000 + "!", " " * 100_000, "\t\n" * 50_000, "((a+)+)+" * 10_000, "\\" * 50_000, "=" * 100_000]
    for text in hostile:
        for fields in ({"model": text}, {"messages": [{"role": "user", "content": text}]}, {"format": text}):
            chat = {"model": "m", "messages": [{"role": "user", "content": "a"}], "stream": False}
            told = await house.ask(house.chat(body=json.dumps(chat | fields).encode()), 1)
            assert told.statuses[0] in {200, 400, 404}, (text[:20], told)
    head = [house.request(b"GET", b"/api/tags", (b"Authorization: " + b"a:" * 4000,), known=False)]
    head += [house.request(b"GET", b"/api/tags", (b"X-Api-Key: " + b"corral_" * 1100,), known=False)]
    assert await house.faults([served("long credentials", each, 401) for each in head]) == []


async def test_t16_a_caller_gets_what_the_policy_gives_and_others_theirs(tmp_path: Path) -> None:
    few = Team(models=("m:latest",), key_limits=KeyLimits(requests_per_minute=3, burst_requests=3))
    teams = {"one": few, "two": Team(models=("*",), key_limits=KeyLimits(concurrent_requests=1))}
    async with raw_house(tmp_path, {"teams": teams}) as house:
        told = await house.ask(as_bearer(house, house.key) * 5, 5)
        assert told.statuses == [200, 200, 200, 429, 429]
        assert b"Retry-After: 20\r\n" in told.raw
        two = house.gate.keys["two"].encode()
        assert (await house.ask(as_bearer(house, two), 1)).statuses == [200]
        house.gate.engine.hold = asyncio.Event()
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
        chat = house.request(headers=(b"X-Api-Key: " + two, b"Content-Length: %d" % len(body)), body=body, known=False)
        async with connected(house) as (_, writer):
            writer.write(chat)
            await until(lambda: house.gate.engine.running == 1)
            assert (await house.ask(chat, 1)).statuses == [429]
        await until(lambda: house.gate.engine.running == 0)
        house.gate.engine.hold = None
        assert (await house.ask(chat, 1)).statuses == [200], "who left gave the place back"


async def test_t17_no_token_but_the_issuers_is_taken(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1", "ec-1", "ed-1"))
    async with raw_house(tmp_path, {"issuers": ISSUERS, "failed_credentials_per_minute": 10_000}) as house:
        # A blank more before a token is no attack: RFC 9110 allows it after the scheme.
        bad = {name: text.encode() for name, text in PLAYBOOK.items() if text.isprintable() and " " not in text}
        bad |= {"expired": token("g-one", exp=1_700_000_000, iat=1_699_999_000)}
        bad |= {"audience": token("g-one", aud="other")}
        bad |= {"foreign key": sign(claims(groups=["g-one"]), header(), "rsa-2").encode()}
        cases = [served(name, as_bearer(house, text), 401) for name, text in bad.items()]
        good = served("good", as_bearer(house, token("g-one")))
        assert len(cases) > 80
        assert await house.faults([good, *cases, good]) == []
        assert not house.gate.engine.calls


async def test_t18_without_keys_nobody_is_judged_and_unknown_keys_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1"))
    async with raw_house(tmp_path, {"issuers": ISSUERS, "failed_credentials_per_minute": 10_000}) as house:
        made_up = [sign(claims(groups=["g-one"]), {**header(), "kid": f"k{number}"}).encode() for number in range(100)]
        good = served("known", as_bearer(house, token("g-one")))
        cases = [served("made up", as_bearer(house, text), 401) for text in made_up]
        assert await house.faults([good, *cases, good]) == []
    (tmp_path / "empty").mkdir()
    async with raw_house(tmp_path / "empty", {"issuers": ISSUERS}) as house:
        told = await house.ask(as_bearer(house, token("g-one")), 1)
        assert told.statuses == [503]
        assert b"m:latest" not in told.raw


async def test_t19_tokens_with_one_beginning_are_two_callers(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_bytes(jwks("rsa-1"))
    async with raw_house(tmp_path, {"issuers": ISSUERS}) as house:
        one, two = token("g-one"), token("g-two")
        assert one[:60] == two[:60]
        for _ in range(10):
            told = await house.ask(as_bearer(house, one) + as_bearer(house, two) + as_bearer(house, one), 3)
            answers = told.raw.split(b"HTTP/1.1 200")[1:]
            assert [b"secret:latest" in answer for answer in answers] == [False, True, False]


@pytest.mark.parametrize("credential", ["Bearer x", "Bearer null", "Basic Og==", "Negotiate x", "Bearer {}", "Token x"])
async def test_t20_a_made_up_credential_is_nobody_on_every_route(house: RawHouse, credential: str) -> None:
    line = b"Authorization: " + credential.encode()
    cases = [
        served(f"{method} {path}", house.request(method.encode(), path.encode(), (line,), known=False), 401)
        for method, path, _ in SECURED
    ]
    assert await house.faults(cases) == []
    assert not house.gate.accepted


async def test_t21_no_refusal_tells_one_bad_key_from_another(house: RawHouse) -> None:
    mine = house.key
    revoked, expired = house.gate.keys["revoked"].encode(), house.gate.keys["expired"].encode()
    wrong = mine[:-1] + (b"A" if mine[-1:] != b"A" else b"B")
    unknown = b"corral_" + b"A" * 12 + b"_" + b"B" * 49
    texts = [wrong, unknown, revoked, expired, b"x", b"'OR'1'='1", b"${jndi:ldap://x}", b"../../keys.db", mine.lower()]
    answers = set()
    for text in texts:
        told = await house.ask(as_bearer(house, text), 1)
        assert told.statuses == [401], text
        head, _, body = told.raw.partition(b"\r\n\r\n")
        answers.add((body, b"".join(line for line in head.split(b"\r\n") if not line.startswith((b"Date", b"X-Req")))))
    assert len(answers) == 1


async def test_t23_what_is_revoked_ends_on_its_open_connection_and_in_its_stream(house: RawHouse) -> None:
    house.gate.engine.hold = asyncio.Event()
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    async with connected(house) as (idle, asking), connected(house) as (streamed, streaming):
        asking.write(house.request(b"GET", b"/api/tags"))
        assert b" 200 " in await idle.readuntil(b"\r\n")
        streaming.write(house.chat(body=body))
        assert b" 200 " in await streamed.readuntil(b"\r\n")
        await until(lambda: house.gate.engine.running == 1)
        house.gate.revoke("one")
        house.gate.streams.look()
        assert b'"error":"unauthorized"' in await streamed.readuntil(b"\r\n0\r\n\r\n")
        await until(lambda: house.gate.engine.running == 0)
        asking.write(house.request(b"GET", b"/api/tags"))
        assert await idle.readuntil(b" 401 ")


async def test_t24_another_teams_model_is_no_model(house: RawHouse) -> None:
    for path in ("/api/chat", "/api/generate", "/api/show", "/api/embed", "/v1/chat/completions", "/v1/embeddings"):
        answers = []
        for model in ("secret:latest", "absent:latest"):
            fields = {"model": model, "messages": [{"role": "user", "content": "a"}], "prompt": "a", "input": "a"}
            body = json.dumps(fields).encode()
            length = b"Content-Length: %d" % len(body)
            told = await house.ask(house.request(target=path.encode(), headers=(length,), body=body), 1)
            assert told.statuses == [404], path
            answers.append(told.raw.partition(b"\r\n\r\n")[2].replace(model.encode(), b"NAME"))
        assert answers[0] == answers[1]
    assert await house.faults([served("metrics", house.request(b"GET", b"/metrics"), 404)]) == []
    assert not house.gate.engine.calls


@pytest.mark.parametrize("mode", ["padded", "batched"])
async def test_t34_a_shaped_stream_shows_four_sizes_at_most(tmp_path: Path, mode: str) -> None:
    found = await sizes_of_streams(tmp_path, 20, mode)
    assert found["sizes"] <= MOST_SIZES
