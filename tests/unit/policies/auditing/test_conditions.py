"""Invariant: what is asked is told in one line that names nobody by its hash, and no whole key is ever written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.conditions import BadCondition, as_written, place_text, read_place, told_to_log
from policies.auditing.search_filter import NAMES
from policies.credentials.api_key import mint


def test_conditions_are_asked_as_records_hold_them() -> None:
    written = as_written(
        {"team": "ché", "reason": "x" * 600, "actor": "a\nb", "since": "24h", "route": "", "colour": "red"}
    )
    assert written == {"team": "ch\\xe9", "reason": "x" * 509 + "...", "actor": "a\\nb", "since": "24h"}


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_key_is_refused_under_any_name(name: str) -> None:
    whole = mint(bytes).text
    with pytest.raises(BadCondition, match=f"{name} holds a whole key: give its id only") as refused:
        as_written({name: f"see {whole}"})
    assert refused.value.name == name
    assert whole not in str(refused.value)


def test_the_text_tells_all_and_the_hash_names_nobody() -> None:
    told = told_to_log({"actor": "alice", "team": "chem", "text": "ops"}, ("pone",))
    assert told["filter"] == "team=chem actor=alice text=ops"
    assert (
        told["filter_hash"]
        == told_to_log({"actor": "ALICE", "team": "chem", "text": "other"}, ("pone",))["filter_hash"]
    )
    assert told["filter_hash"] != told_to_log({"actor": "alice", "team": "chem", "text": "ops"}, ())["filter_hash"]


def test_a_network_is_told_apart_from_another_and_an_address_is_not() -> None:
    hashes = [told_to_log({"address": each}, ())["filter_hash"] for each in ("10.0.0.1", "10.0.0.2", "10.0.0.0/8")]
    assert hashes[0] == hashes[1] != hashes[2]


def test_another_question_has_another_text_and_hash() -> None:
    plain, about = told_to_log({"since": "24h"}, ()), told_to_log({"since": "24h"}, (), "new-addresses")
    assert about["filter"] == "new-addresses since=24h"
    assert about["filter_hash"] != plain["filter_hash"]


@given(chain=st.from_regex(r"[a-z][a-z0-9:.-]{0,20}", fullmatch=True), seq=st.integers(0, 10**18 - 1))
def test_a_place_is_read_as_it_is_written(chain: str, seq: int) -> None:
    assert read_place(place_text(chain, seq)) == (chain, seq)


@pytest.mark.parametrize("text", ["", "box", "box:", ":7", "box:x", "box:-1", "box:" + "9" * 19, "box:٣"])
def test_what_is_no_place_is_said(text: str) -> None:
    with pytest.raises(ValueError, match="is no record's place: write CHAIN:SEQ"):
        read_place(text)
