"""T5, T6, T9, T10, T22, T25: what headers and URLs can say about who asks, and what comes back of them."""

import json

from setup.places import ROOT
from tests.raw.raw_house import CHAT, SENTINEL, RawHouse, refused, served

SPOOFED = (
    b"127.0.0.1",
    b"10.0.0.1",
    b"::1",
    b"[::1]:80",
    b"192.0.2.1, 127.0.0.1",
    b"unknown",
    b"_hidden",
    b'"127.0.0.1"',
)
FORWARDING = (b"X-Forwarded-For", b"X-Real-IP", b"Forwarded", b"X-Client-IP", b"True-Client-IP", b"CF-Connecting-IP",
              b"X-Original-URL", b"X-Rewrite-URL", b"X-Forwarded-Uri", b"X-Forwarded-Host", b"X-Forwarded-Method",
              b"X-HTTP-Method-Override")  # fmt: skip
MARK = b"mArKeR7f3a"


async def test_t05_a_header_named_in_connection_still_counts(house: RawHouse) -> None:
    names = (b"Authorization", b"Host", b"X-Forwarded-For", b"X-Api-Key", b"Content-Length", b"Content-Type",
             b"Transfer-Encoding", b"Cookie", b"Origin", b"close-not", b"keep-alive")  # fmt: skip
    cases = [served(repr(name), house.chat(b"Connection: " + name)) for name in names]
    cases += [refused(f"{name!r} and close", house.chat(b"Connection: close, " + name), 200) for name in names]
    cases += [
        refused(f"{name!r} without a key", house.request(
            headers=(b"Connection: " + name, b"Content-Length: %d" % len(CHAT)), body=CHAT, known=False), 401)
        for name in names
    ]  # fmt: skip
    assert await house.faults(cases) == []


async def test_t06_nobody_speaks_for_another_address(house: RawHouse) -> None:
    cases = [
        served(f"{name!r} {value!r}", house.chat(name + b": " + (b"for=" if name == b"Forwarded" else b"") + value))
        for name in FORWARDING
        for value in SPOOFED
    ]
    assert len(cases) >= 40
    assert await house.faults(cases) == []
    sources = [entry["src"] for entry in house.gate.log.entries if "src" in entry]
    assert {source.get("ip") for source in sources} <= {"127.0.0.1", None}
    assert len(sources) >= len(cases)


async def test_t09_what_is_sent_comes_out_as_data_only(house: RawHouse) -> None:
    for value in (
        b"\x1b[2J" + MARK,
        MARK + b"\x9b31m",
        MARK + b"\x08\x08",
        b"%0d%0aX-Injected:%20" + MARK,
        b"\xe2\x80\xae" + MARK,
    ):
        body = json.dumps({"model": value.decode("latin-1"), "messages": [{"role": "user", "content": "hi"}]}).encode()
        told = await house.ask(house.chat(b"User-Agent: caf\xe9", body=body), 1)
        assert told.statuses[0] in {400, 404}
        assert b"X-Injected" not in told.raw.split(b"\r\n\r\n")[0]
        assert not any(byte in told.raw for byte in (0x1B, 0x08, 0x00))
        assert "\u202e" not in told.raw.decode("utf-8")


async def test_t10_no_error_repeats_what_was_sent_or_says_who_serves(house: RawHouse) -> None:
    sent = [
        MARK + b" / HTTP/1.1\r\n\r\n", b"GET /" + MARK + b"\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + MARK + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: " + MARK + b"/\r\n\r\n",
        b"GET / " + MARK + b"\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + MARK + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + MARK + b"_x: y\r\n\r\n",
        b"GET " + MARK + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        house.chat(b"X: " + MARK + b"\x01"), house.chat(b"Transfer-Encoding: " + MARK), house.chat(b"Expect: " + MARK),
        house.chat(b"Content-Encoding: " + MARK), house.chat(b"Origin: https://" + MARK.lower()),
        house.chunked(MARK + b"\r\n"),
        house.chunked(b"5;" + MARK * 100 + b"\r\n"), house.request(b"GET", b"/" + MARK), house.request(b"GET",
        b"/v1/" + MARK),
        house.request(b"GET", b"/" + MARK, known=False), house.request(MARK), house.request(b"PUT",
        b"/api/chat?" + MARK),
        house.request(b"GET", b"/api/tags?api_key=" + MARK), house.chat(body=b'{"model":"m",' + MARK + b"}"),
        house.chat(body=b'{"model":"m","' + MARK + b'":1,"' + MARK + b'":2}'), house.chat(body=b'["' + MARK + b'"]'),
        house.chat(body=b'"' + MARK), house.chat(body=MARK), house.chat(b"X-Api-Key: " + MARK),
        house.request(b"GET", b"/api/tags", (b"Authorization: Bearer " + MARK,), known=False),
        house.request(b"GET", b"/api/tags", (b"Authorization: Basic " + MARK,), known=False),
        house.request(b"GET", b"/api/tags", (b"Authorization: Bearer a.b." + MARK,), known=False),
        house.request(b"GET", b"/api/tags", (b"Upgrade: websocket " + MARK, b"Connection: upgrade")),
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + MARK * 1000 + b"\r\n\r\n",
        b"GET /" + MARK * 1000 + b" HTTP/1.1\r\n\r\n",
    ]  # fmt: skip
    for data in sent:
        told = await house.ask(data + SENTINEL, 1)
        assert told.statuses, data
        assert 400 <= told.statuses[0] < 500, (data, told.statuses)
        for secret in (
            MARK.lower(),
            b"\r\nserver:",
            b"python",
            b"aiohttp",
            b"llhttp",
            b"traceback",
            b"site-packages",
            str(ROOT).encode(),
        ):
            assert secret not in told.raw.lower(), (data, secret)
    unknown = json.dumps({"model": MARK.decode() + "\u0007", "messages": []}).encode()
    told = await house.ask(house.chat(body=unknown), 1)
    assert told.statuses[0] in {400, 404}
    assert b"\x07" not in told.raw


async def test_t22_one_credential_and_no_more(house: RawHouse) -> None:
    mine, other = house.key, house.gate.keys["two"].encode()
    bearer = b"Authorization: Bearer "
    lines = [
        (bearer + mine, bearer + mine), (bearer + mine, bearer + other), (bearer + other, bearer + mine),
        (bearer + mine, b"authorization: Bearer " + other), (bearer + mine, b"Authorization: Basic eDp5"),
        (bearer + mine, b"X-Api-Key: " + other), (b"X-Api-Key: " + other, bearer + mine), (b"X-Api-Key: " + mine,
        b"X-Api-Key: " + mine),
        (b"X-Api-Key: " + mine, b"X-Api-Key: " + other), (b"X-Api-Key: " + mine, b"x-api-key: " + other),
        (bearer + mine, b"X-Api-Key: wrong"), (bearer + b"wrong", b"X-Api-Key: " + mine),
        (bearer + mine + b", Bearer " + other,),
        (bearer + mine, b"Proxy-Authorization: Basic eDp5", b"Proxy-Authorization: Basic eDp5"), (b"Cookie: a=b",
        b"Cookie: c=d"),
        (bearer + mine, b"Authorization:"), (b"Authorization:", bearer + mine), (bearer + mine, b"Authorization_: x"),
        (bearer + mine, b"X_Api_Key: " + other), (bearer + mine, b"X-Api-Key: a.b.c"),
    ]  # fmt: skip
    assert len(lines) >= 20
    wrong = []
    for each in lines:
        told = await house.ask(house.request(b"GET", b"/api/tags", each, known=False), 1)
        if told.statuses not in ([400], [401]) or b"m:latest" in told.raw:
            wrong.append((each, told.statuses))
    assert wrong == []
    cases = [
        served("the key twice in the same words", house.request(b"GET", b"/api/tags", (b"X-Api-Key: " + mine,))),
        served("bearer", house.request(b"GET", b"/api/tags")),
        served("x-api-key", house.request(b"GET", b"/api/tags", (b"X-Api-Key: " + mine,), known=False)),
        served("BEARER", house.request(b"GET", b"/api/tags", (b"authorization: BEARER " + mine,), known=False)),
    ]
    assert await house.faults(cases) == []


async def test_t25_a_key_in_the_url_is_refused_and_leaves_no_trace(house: RawHouse) -> None:
    for name in (b"api_key", b"key", b"token", b"access_token", b"apikey"):
        for target in (b"/api/tags?" + name + b"=" + house.key, b"/api/tags?x=y&" + name + b"=" + house.key):
            for known in (False, True):
                told = await house.ask(house.request(b"GET", target, known=known), 1)
                assert told.statuses == [400], (target, told.statuses)
                assert house.key not in told.raw
    assert house.key.decode() not in json.dumps(house.gate.log.entries)
    assert house.key.split(b"_")[2].decode() not in json.dumps(house.gate.log.entries)
