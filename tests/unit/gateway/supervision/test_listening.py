import errno
import os
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.configuration.settings import ListenSettings
from gateway.supervision.listening import ListenFault, _explain, listen_tcp, listen_unix


@pytest.fixture
def taken() -> Iterator[int]:
    with closing(listen_tcp(ListenSettings(port=0), "public")) as listener:
        yield listener.getsockname()[1]


def test_a_listener_takes_connections_that_nobody_accepted_yet(taken: int) -> None:
    socket.create_connection(("127.0.0.1", taken), timeout=30).close()


def test_a_port_in_use_is_named_with_the_remedy(taken: int) -> None:
    with pytest.raises(ListenFault) as fault:
        listen_tcp(ListenSettings(port=taken), "public")
    assert str(fault.value) == (
        f"port {taken} is in use on 127.0.0.1: stop the other program or set public.port in config.yaml"
    )


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(
        ListenFault, match=r"no network interface here has the address 192\.0\.2\.1: set admin\.address"
    ):
        listen_tcp(ListenSettings(address="192.0.2.1", port=0), "admin")


@pytest.mark.parametrize(
    ("number", "words"),
    [(errno.EACCES, "set public.port in config.yaml to 1024 or above"), (errno.ENOBUFS, "No buffer space")],
)
def test_other_refusals(number: int, words: str) -> None:
    assert words in _explain(OSError(number, os.strerror(number)), ListenSettings(port=80), "public")


def test_ipv6_is_only_that() -> None:
    try:
        listener = listen_tcp(ListenSettings(address="::1", port=0), "public")
    except ListenFault:
        pytest.skip("no IPv6 here")
    with closing(listener):
        assert listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_a_unix_socket_is_private_and_replaces_a_left_one(tmp_path: Path) -> None:
    path = tmp_path / "worker-0.sock"
    listen_unix(path).close()
    with closing(listen_unix(path)), closing(socket.socket(socket.AF_UNIX)) as client:
        assert path.stat().st_mode & 0o777 == 0o600
        client.connect(str(path))


def test_a_unix_socket_that_cannot_be_is_named(tmp_path: Path) -> None:
    with pytest.raises(ListenFault, match=r"cannot listen at .*gone/x\.sock"):
        listen_unix(tmp_path / "gone" / "x.sock")
