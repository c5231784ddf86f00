"""The pepper file: made readable, kept private, and never guessed at."""

import pytest

from gateway.keys.pepper import UnfitPepper, load_peppers, new_pepper_text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pepper"


def write(path, text: str, mode: int = 0o400) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_a_new_file_is_read_back(path):
    write(path, new_pepper_text(lambda count: b"\x5a" * count))
    assert load_peppers(path) == {1: b"\x5a" * 32}


def test_versions_may_stand_in_any_order(path):
    write(path, f"2:{'b' * 64}\n1:{'a' * 64}")
    assert load_peppers(path) == {1: b"\xaa" * 32, 2: b"\xbb" * 32}


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o644, 0o620, 0o401])
def test_a_file_open_to_others_is_refused_with_the_remedy(path, mode):
    write(path, f"1:{'a' * 64}\n", mode)
    with pytest.raises(UnfitPepper, match=f"open to others .mode {mode:04o}.: run 'chmod 400 {path}'"):
        load_peppers(path)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        f"0:{'a' * 64}",
        f"1:{'a' * 63}",
        f"1:{'A' * 64}",
        f"1: {'a' * 64}",
        f"1:{'a' * 64}\n1:{'b' * 64}",
        f"1:{'a' * 64}\n\n",
    ],
)
def test_a_wrong_line_is_named_and_not_quoted(path, text):
    write(path, text)
    with pytest.raises(UnfitPepper, match=r"line [12]: not VERSION:64-HEX-DIGITS") as fault:
        load_peppers(path)
    assert "aaaa" not in str(fault.value).lower()


def test_an_empty_or_missing_or_binary_file_is_refused(path):
    with pytest.raises(UnfitPepper, match="No such file"):
        load_peppers(path)
    write(path, "", 0o600)
    with pytest.raises(UnfitPepper, match="is empty"):
        load_peppers(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UnfitPepper, match="it is not text"):
        load_peppers(path)
