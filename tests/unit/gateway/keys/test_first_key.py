"""The first key's file: private, and gone with the key's first use and only then."""

import pytest

from gateway.homes.home import Home
from gateway.keys.first_key import forget_first_key, leave_first_key
from policies.credentials.api_key import mint

KEY, OTHER = (mint(lambda count, byte=byte: bytes([byte]) * count) for byte in (1, 2))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_the_file_holds_the_key_only_and_is_private(home):
    leave_first_key(home, KEY.text)
    assert home.first_key.read_text() == KEY.text
    assert home.first_key.stat().st_mode & 0o777 == 0o600


def test_its_first_use_deletes_it_and_later_uses_find_nothing(home):
    leave_first_key(home, KEY.text)
    assert not forget_first_key(home, OTHER.id)
    assert forget_first_key(home, KEY.id)
    assert not home.first_key.exists()
    assert not forget_first_key(home, KEY.id)


@pytest.mark.parametrize("content", [b"", b"something else", b"\xff\xfe"])
def test_a_file_with_something_else_is_left_alone(home, content):
    home.first_key.write_bytes(content)
    assert not forget_first_key(home, KEY.id)
    assert home.first_key.read_bytes() == content


def test_a_line_end_added_by_a_copy_does_no_harm(home):
    home.first_key.write_text(KEY.text + "\n")
    assert forget_first_key(home, KEY.id)


def test_an_older_file_is_not_overwritten(home):
    leave_first_key(home, KEY.text)
    with pytest.raises(FileExistsError):
        leave_first_key(home, OTHER.text)
