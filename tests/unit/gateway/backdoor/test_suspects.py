"""Who is asked: model servers bound beyond loopback here, upstreams elsewhere, and nobody else."""

import pytest

from gateway.backdoor.listening_sockets import Listening
from gateway.backdoor.suspects import Suspect, find_suspects, is_here
from gateway.configuration.settings import UpstreamSettings


def upstream(url: str, name: str = "up", **fields: object) -> UpstreamSettings:
    return UpstreamSettings(name=name, kind="ollama", url=url, **fields)  # type: ignore[arg-type]


def places(suspects: tuple[Suspect, ...]) -> list[tuple[str, int]]:
    return [(each.address, each.port) for each in suspects]


def test_a_known_port_bound_beyond_loopback_is_asked_over_loopback() -> None:
    found = find_suspects([Listening("0.0.0.0", 11434), Listening("::", 8000)], [], [])
    assert [(each.kind, each.here, each.certain, each.upstreams) for each in found] == [
        ("ollama", True, False, ()),
        ("vllm", True, False, ()),
    ]
    assert found[0].urls == ("https://127.0.0.1:11434", "http://127.0.0.1:11434")
    assert found[1].urls[:2] == ("https://127.0.0.1:8000", "https://[::1]:8000")


def test_one_bound_to_an_address_of_its_own_is_asked_there() -> None:
    found = find_suspects([Listening("192.168.1.5", 8080), Listening("2001:db8::5", 9931)], [], [])
    assert found[0].urls[1] == "http://192.168.1.5:8080"
    assert found[1].urls[1] == "http://[2001:db8::5]:9931"


@pytest.mark.parametrize(
    "listening",
    [Listening("127.0.0.1", 11434), Listening("127.8.0.1", 8080), Listening("::1", 8000), Listening("0.0.0.0", 22)],
)
def test_loopback_and_other_ports_are_left_alone(listening: Listening) -> None:
    assert find_suspects([listening], [], []) == ()


def test_our_own_listeners_are_never_asked() -> None:
    own = Listening("0.0.0.0", 8080)
    assert find_suspects([own, Listening("10.0.0.1", 8080)], [own], [])[0].address == "10.0.0.1"
    assert find_suspects([own], [own], []) == ()


def test_an_upstream_here_is_a_suspect_only_when_its_port_is_bound_beyond_loopback() -> None:
    settings = upstream("http://localhost:4242")
    assert find_suspects([Listening("127.0.0.1", 4242)], [], [settings]) == ()
    found = find_suspects([Listening("0.0.0.0", 4242)], [], [settings])
    assert [(each.kind, each.upstreams, each.here) for each in found] == [("ollama", ("up",), True)]


def test_an_upstream_elsewhere_is_asked_as_it_is_named() -> None:
    found = find_suspects([], [], [upstream("https://models.example/ollama", ca_file="ca.pem")])
    assert found == (
        Suspect(
            address="models.example",
            port=443,
            here=False,
            kind="ollama",
            certain=True,
            urls=("https://models.example/ollama",),
            upstreams=("up",),
            ca_file="ca.pem",
        ),
    )
    assert places(find_suspects([], [], [upstream("http://10.0.0.9")])) == [("10.0.0.9", 80)]


def test_a_declared_upstream_is_not_asked_here_or_elsewhere() -> None:
    isolated = [
        upstream("http://10.0.0.9:11434", network_isolated=True),
        upstream("http://127.0.0.1:4242", "here", network_isolated=True),
    ]
    assert find_suspects([Listening("0.0.0.0", 4242)], [], isolated) == ()


def test_a_declared_upstream_does_not_excuse_another_on_its_port() -> None:
    both = [upstream("http://127.0.0.1:4242", network_isolated=True), upstream("http://127.0.0.2:4242", "other")]
    assert places(find_suspects([Listening("0.0.0.0", 4242)], [], both)) == [("0.0.0.0", 4242)]


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1", True),
        ("http://[::1]:1", True),
        ("http://localhost:1", True),
        ("http://[::ffff:127.0.0.1]:1", True),
        ("http://10.0.0.1:1", False),
        ("http://ollama:11434", False),
    ],
)
def test_who_is_here(url: str, here: bool) -> None:
    assert is_here(upstream(url)) is here
