"""T7 and T8: nothing that a Host or a path can say leads anywhere else than the same bytes lead for everybody."""

from itertools import product

from tests.raw.raw_house import Case, RawHouse, refused, served

MALFORMED_HOSTS = (
    b"", b" ", b"localhost, evil", b"localhost,evil", b"user@localhost", b"localhost@evil", b"localhost/x",
    b"localhost/",
    b"localhost:4000/#@x", b"x:4000/?y", b"localhost#x", b"localhost?x", b"localhost\\x", b"localhost x",
    b"localhost\tx",
    b"localhost:", b"localhost:0", b"localhost:65536", b"localhost:99999", b"localhost:80:80", b"localhost:-1",
    b"localhost:+80", b"localhost:8e1", b"localhost:port", b":80", b"[::1", b"::1", b"[::1]x", b"[::g]", b"[]",
    b"[::1%25lo]",
    b"[fe80::1%eth0]", b"local\xe2\x80\x8bhost", b"localhost\xff", b"l\x00calhost", b"localhost\x0b",
    b"http://localhost",
    b"localhost;x", b"{localhost}", b"<localhost>", b"\"localhost\"", b"'localhost'", b"%6cocalhost", b"localhost%00",
    b"-localhost", b"..", b".", b"*", b"lo*", b"*.wild.example", b"a" * 300,
)  # fmt: skip
FOREIGN_HOSTS = (
    b"evil.example", b"localhost.evil.example", b"evil.localhost", b"gate.example.evil", b"gate-example", b"example",
    b"wild.example", b"a.b.wild.example", b"awild.example", b"127.0.0.2", b"127.1", b"2130706433", b"0x7f000001",
    b"0177.0.0.1",
    b"127.0.0.1.nip.io", b"0.0.0.0", b"[::]", b"[::ffff:7f00:1]", b"[::2]", b"10.0.0.1", b"169.254.169.254",
    b"192.0.2.8",
    b"metadata.google.internal", b"localhost..",
)  # fmt: skip
OUR_HOSTS = (
    b"localhost", b"LOCALHOST", b"localhost.", b"localhost:1", b"localhost:65535", b"127.0.0.1", b"127.0.0.1:8443",
    b"[::1]",
    b"[::1]:8443", b"127.0.0.1.", b"[0:0:0:0:0:0:0:1]", b"gate.example", b"Gate.Example.:443", b"a.wild.example",
    b"192.0.2.7",
)  # fmt: skip

DOTS = (b"..", b"%2e%2e", b"%2E%2E", b".%2e", b"%2e.", b"%252e%252e", b"..%00", b"..;", b"%c0%ae%c0%ae", b".", b"%2e")
SLASHES = (b"/", b"%2f", b"%2F", b"\\", b"%5c", b"%252f", b"//", b"%c0%af", b"/./", b";/")
PREFIXES = {b"/health/live": "public", b"/api/tags": "user", b"/metrics": "admin"}
GOALS = (b"api/tags", b"metrics")
SINGLE = (
    b"//api/tags", b"/api//tags", b"/api/tags/", b"/api/tags;x", b"/api/tags;/", b"/api/./tags", b"/./api/tags",
    b"/api/x/../tags",
    b"/api/tags/.", b"/api/tags/..", b"/api/tags%00", b"/api/tags%00.png", b"/api/tags#", b"/api/tags#x",
    b"/#/api/tags",
    b"/api/tags%23", b"/api/tags%3b", b"/api%2ftags", b"/%61pi/tags", b"/api/%74ags", b"/API/tags", b"/Api/Tags",
    b"/api/TAGS",
    b"/api\\tags", b"\\api\\tags", b"/api/tags\\", b"/api%5ctags", b"/api/tags%20", b"/api/tags%09", b"/api/tags%0a",
    b"/api/tags%0d%0aX:%20y", b"/api/tags%7f", b"/api/tags%ff", b"/api/tags\xff", b"/\xef\xbc\x8fapi/tags",
    b"/api/tags%",
    b"/api/tags%2", b"/api/tags%zz", b"/api/tags%u002f", b"/api/tags?x\x01", b"/api/tags?x#y",
    b"/api/tags?\xe2\x80\xa8",
    b"/api/tags.", b"/.api/tags", b"/api/.tags", b"/api/tags~", b"/api/tags,", b"/api/tags:80", b"/@/api/tags",
    b"/api/tags&x",
    b"/api/tags=", b"/v1/models/..%2f..%2fmetrics", b"/v1/models/%2e%2e%2fmetrics", b"/v1/models/%2fm",
    b"/v1/models/m%2f%2fx",
    b"/v1/models/..", b"/v1/models/.", b"/v1/models/m/../m", b"/v1/models/%252fm", b"/v1/models/m%00", b"/v1/models//m",
    b"/v1/models/m%5c..", b"/v1/models/%2e", b"/v1/models/m%2f..", b"/v1/models/m%2f.", b"/v1/models/m;x",
)  # fmt: skip


def _traversals() -> list[bytes]:
    found = {
        prefix + slash + dots + slash + goal for prefix, slash, dots, goal in product(PREFIXES, SLASHES, DOTS, GOALS)
    }
    return sorted(found)


async def test_t07_hosts_that_cannot_be_read_in_one_way_only(house: RawHouse) -> None:
    cases = [refused(repr(host), house.request(b"GET", b"/api/tags", host=host)) for host in MALFORMED_HOSTS]
    one = b"GET /api/tags HTTP/1.1\r\n%b\r\n\r\n"
    cases += [
        refused(repr(lines), one % lines)
        for lines in (
            b"Host: localhost\r\nHost: localhost", b"Host: localhost\r\nHost: evil", b"Host: evil\r\nhost: localhost",
            b"Host: localhost\r\n evil", b"Host:\r\n localhost", b"Host : localhost", b" Host: localhost",
            b"Hos t: localhost",
            b"X-Forwarded-Host: localhost", b"Host\x00: localhost", b"Host: localhost\r\nHost:",
        )
    ]  # fmt: skip
    cases += [
        refused(f"{target!r} in absolute form", house.request(b"GET", target, host=host))
        for target, host in (
            (b"http://localhost/api/tags", b"evil"),
            (b"http://evil/api/tags", b"localhost"),
            (b"https://localhost@evil/", b"localhost"),
            (b"http://localhost:80/api/tags", b"localhost"),
            (b"http:///api/tags", b"localhost"),
            (b"http://localhost/api/tags#", b"localhost"),
            (b"http://localhost/../api/tags", b"localhost"),
        )
    ]
    assert await house.faults(cases) == []
    assert "request.completed" not in house.gate.log.events()


async def test_t07_names_that_are_not_ours_are_misdirected(house: RawHouse) -> None:
    targets = (b"/", b"/health/live", b"/api/tags", b"/nothing")
    cases = [
        refused(f"{host!r} {target!r}", house.request(b"GET", target, host=host, known=known), 421)
        for host, target, known in product(FOREIGN_HOSTS, targets, (False, True))
    ]
    assert await house.faults(cases) == []


async def test_t07_an_absolute_target_with_the_host_is_the_path_in_it(house: RawHouse) -> None:
    targets = (b"http://localhost/api/tags", b"HTTPS://localhost/api/tags?a=1", b"http://LOCALHOST/v1/models")
    assert await house.faults([served(repr(target), house.request(b"GET", target)) for target in targets]) == []


async def test_t07_names_that_are_ours(house: RawHouse) -> None:
    cases = [served(repr(host), house.request(b"GET", b"/api/tags", host=host)) for host in OUR_HOSTS]
    cases.append(Case("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n", (frozenset({200}),)))
    assert await house.faults(cases) == []
    told = await house.ask(house.request(b"GET", b"/", host=b"[::1]:1", known=False), 1)
    assert told.statuses == [200]


async def test_t08_no_path_leads_to_another_route(house: RawHouse) -> None:
    traversals = _traversals()
    assert len(traversals) >= 536
    wrong = []
    for target in (*traversals, *SINGLE):
        told = await house.ask(house.request(b"GET", target), 1)
        if not (len(told.statuses) == 1 and told.statuses[0] in {400, 404}) or b"m:latest" in told.raw:
            wrong.append((target, told.statuses))
    assert wrong == []
    assert house.gate.bugs == []
    assert set(house.gate.log.events()) <= {"request.denied", "request.rejected"}


async def test_t08_a_stranger_learns_of_no_route(house: RawHouse) -> None:
    targets = (b"/api/tags", b"/api/nothing", b"/v1/nothing", b"/v1/models")
    told = [await house.ask(house.request(b"GET", target, known=False), 1) for target in targets]
    assert [each.statuses for each in told] == [[401]] * 4
    bodies = [each.raw.split(b"\r\n\r\n")[1] for each in told]
    assert bodies[0] == bodies[1]
    assert bodies[2] == bodies[3]


async def test_t08_methods_and_paths_as_they_are(house: RawHouse) -> None:
    get = house.request
    cases = [
        served("open", get(b"GET", b"/", known=False)),
        served("open with HEAD", get(b"HEAD", b"/", known=False)),
        served("health", get(b"GET", b"/health/live?x=%2e%2e", known=False)),
        served("tags", get(b"GET", b"/api/tags")),
        served("a query is no path", get(b"GET", b"/api/tags?path=/../metrics;x=%2f%00%5c//")),
        served("a model", get(b"GET", b"/v1/models/m")),
        served("a model with its tag", get(b"GET", b"/v1/models/m:latest")),
        served("an unknown model", get(b"GET", b"/v1/models/ns%2fx"), 404),
        served("not this method", get(b"PUT", b"/api/tags"), 405),
        served("no such path", get(b"GET", b"/api/nothing"), 404),
        served("admin's path on this listener", get(b"GET", b"/metrics"), 404),
    ]
    assert await house.faults(cases) == []
    refusal = (await house.ask(house.request(b"PUT", b"/api/chat"), 1)).raw
    assert b"\r\nAllow: POST\r\n" in refusal
