"""The kernel's table of sockets, as proc(5) describes it, in both byte orders."""

from pathlib import Path

import pytest

from gateway.backdoor.listening_sockets import Listening, parse_listening, read_listening

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(number: int, place: str, state: str = "0A", other: str = "00000000:0000") -> str:
    return f"{number:4}: {place} {other} {state} 00000000:00000000 00:00000000 00000000  0  0 1592 1 0 100 0 0 10 0\n"


TABLE = (
    HEAD + row(0, "0100007F:2CAA") + row(1, "00000000:1F90") + row(2, "0501A8C0:1F40") + row(3, "0100007F:8738", "06")
)
EVERYWHERE, ONE = "0" * 32, "00000000000000000000000001000000"
MAPPED = "0000000000000000FFFF00000501A8C0"
SIX = HEAD + row(0, f"{EVERYWHERE}:2CAA") + row(1, f"{ONE}:04D2") + row(2, f"{MAPPED}:1388") + row(3, f"{ONE}:1", "01")


def test_listening_sockets_of_version_4() -> None:
    assert parse_listening(TABLE, "little") == [
        Listening("127.0.0.1", 11434),
        Listening("0.0.0.0", 8080),
        Listening("192.168.1.5", 8000),
    ]


def test_listening_sockets_of_version_6() -> None:
    assert parse_listening(SIX, "little") == [
        Listening("::", 11434),
        Listening("::1", 1234),
        Listening("192.168.1.5", 5000),
    ]


def test_the_other_byte_order() -> None:
    assert parse_listening(HEAD + row(0, "7F000001:2CAA"), "big") == [Listening("127.0.0.1", 11434)]


@pytest.mark.parametrize(
    ("address", "beyond"),
    [("127.0.0.1", False), ("127.8.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("10.0.0.1", True)],
)
def test_what_is_bound_beyond_loopback(address: str, beyond: bool) -> None:
    assert Listening(address, 1).beyond_loopback is beyond


def test_both_tables_are_read(tmp_path: Path) -> None:
    (tmp_path / "tcp").write_text(TABLE)
    four = read_listening(tmp_path)
    assert [each.port for each in four] == [8080, 11434, 8000]
    (tmp_path / "tcp6").write_text(SIX)
    assert len(read_listening(tmp_path)) == 6


def test_a_table_that_is_away_or_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="tcp"):
        read_listening(tmp_path)
    (tmp_path / "tcp").write_text(HEAD + row(0, "nonsense"))
    with pytest.raises(ValueError, match=r"."):
        read_listening(tmp_path)


def test_this_hosts_own_table_can_be_read() -> None:
    assert all(0 < each.port < 65536 for each in read_listening())
