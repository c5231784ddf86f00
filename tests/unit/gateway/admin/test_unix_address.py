"""Unix sockets bind and connect however deep their folder lies."""

import socket

import pytest

from gateway.admin.unix_address import MAX_ADDRESS_BYTES, unix_address


@pytest.mark.parametrize("depth", [0, 3])
def test_both_ends_meet(tmp_path, depth):
    folder = tmp_path.joinpath(*["deep" * 20] * depth)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "s"
    assert (len(str(path)) > MAX_ADDRESS_BYTES) == bool(depth)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        with unix_address(path) as address:
            server.bind(address)
        server.listen()
        assert path.is_socket()
        with unix_address(path) as address:
            client.connect(address)


def test_a_missing_folder_is_told(tmp_path):
    path = tmp_path.joinpath(*["deep" * 20] * 3) / "s"
    with pytest.raises(FileNotFoundError), unix_address(path):
        pass
