"""The form of a key: what is minted is read, anything else is not, and the hash depends on every part."""

import hashlib
import hmac
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.credentials.api_key import (
    BASE62,
    KEY_LENGTH,
    KEY_PATTERN,
    PREFIX,
    find_api_keys,
    hash_key,
    is_key_id,
    mask_api_keys,
    mint,
    read_api_key,
)


def made_of(byte: int):
    return lambda count: bytes([byte]) * count


random_bytes = st.builds(
    lambda seed: lambda count: hashlib.shake_256(seed).digest(count), st.binary(min_size=8, max_size=8)
)


@given(random_bytes)
def test_a_minted_key_has_the_published_form_and_is_read_back(random):
    key = mint(random)
    assert re.fullmatch(KEY_PATTERN, key.text)
    assert len(key.text) == KEY_LENGTH
    assert key.text.startswith(f"{PREFIX}{key.id}_")
    read = read_api_key(key.text)
    assert (read.id, read.text) == (key.id, key.text)
    assert is_key_id(key.id)


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_smallest_and_the_largest_secret_fit(byte):
    assert len(mint(made_of(byte)).text) == KEY_LENGTH


def test_all_256_bits_of_the_secret_are_in_the_text():
    secret = mint(made_of(0xFF)).text.split("_")[2][:43]
    number = 0
    for digit in secret:
        number = number * 62 + BASE62.index(digit)
    assert number == 2**256 - 1


def test_id_and_secret_are_drawn_apart():
    drawn = []

    def random(count: int) -> bytes:
        drawn.append(count)
        return bytes(count)

    mint(random)
    assert drawn == [16, 32]


@given(random_bytes, st.integers(0, KEY_LENGTH - 1), st.sampled_from(BASE62))
def test_one_changed_character_is_noticed(random, place, character):
    text = mint(random).text
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(ValueError, match="Corral key"):
            read_api_key(changed)


@given(st.text(max_size=100))
def test_no_text_is_a_key_by_chance_and_none_is_quoted(text):
    with pytest.raises(ValueError, match="not a Corral key by its form"):
        read_api_key(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "corral_",
        "' OR '1'='1",
        "corral_' OR '1'='1'--_x",
        "corral_{$ne:null}_",
        "corral_" + "é" * 12 + "_" + "a" * 49,
    ],
)
def test_injections_stop_at_the_form(text):
    with pytest.raises(ValueError, match="form"):
        read_api_key(text)


def test_white_space_around_a_key_is_not_a_key():
    text = mint(made_of(7)).text
    for other in (text + "\n", " " + text, text + "\0", text.upper(), text + "a"):
        with pytest.raises(ValueError, match="form"):
            read_api_key(other)


def test_keys_inside_a_text_are_found_and_lookalikes_are_not():
    one, two = mint(made_of(1)), mint(made_of(2))
    wrong = one.text[:-1] + ("0" if one.text[-1] != "0" else "1")
    text = f"export KEY={one.text};{wrong} x{two.text}y {one.text}{two.text}"
    assert [key.id for _, key in find_api_keys(text)] == [one.id, two.id, one.id, two.id]
    assert next(find_api_keys(text))[0] == text.index(one.text)


def test_whatever_looks_like_a_key_is_masked():
    text = mint(made_of(4)).text
    for secret in (text, text[:-9], text.upper(), text + text):
        assert mask_api_keys(f"with {secret}!") == "with corral_[masked]!"


def test_the_hash_is_hmac_sha256_of_the_whole_key():
    text = mint(made_of(3)).text
    assert hash_key(b"p" * 32, text) == hmac.new(b"p" * 32, text.encode(), hashlib.sha256).digest()
    assert hash_key(b"q" * 32, text) != hash_key(b"p" * 32, text)


def test_no_repr_shows_the_secret():
    key = mint(made_of(9))
    assert key.text not in repr(key)
    assert key.text not in repr(read_api_key(key.text))


@pytest.mark.parametrize("text", ["", "short", "a" * 13, "abcdefghijk!", "abcdefghijk\n"])
def test_what_is_no_id(text):
    assert not is_key_id(text)
