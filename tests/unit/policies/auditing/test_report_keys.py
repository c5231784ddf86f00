"""Invariant: what is told last of a key before the period's end is what the report says, whatever the chains' order."""

from policies.auditing.report_keys import Keys
from tests.report_lines import BEFORE, IN, LATER, OCTOBER, act, ended, told

DAY_S = 86_400.0
CREATED_S = OCTOBER.until_s - 40 * DAY_S
FACTS = {
    "id": "k1", "team": "chem", "owner": "pann", "scopes": "inference", "created_s": CREATED_S,
    "expires_s": OCTOBER.until_s + DAY_S, "review_s": OCTOBER.until_s - DAY_S,
}  # fmt: skip


def row(keys: Keys) -> dict:
    (found,) = keys.told()["keys"]
    return found


def test_a_key_in_use_whose_review_is_overdue() -> None:
    keys = Keys(OCTOBER)
    keys.inventory(told("inventory.keys", BEFORE, keys=[FACTS]))
    keys.used(ended("1", BEFORE), is_end=True)
    keys.used(ended("2", IN), is_end=False)
    keys.used(ended("2", IN), is_end=True)
    found = row(keys)
    assert (found["key"], found["team"], found["owner"], found["state"]) == ("k1", "chem", "pann", "active")
    assert (found["age_days"], found["review"], found["requests"], found["last_used"]) == (40, "overdue", 1, IN)
    assert (found["unused"], found["never_ends"], found["ends"]) == (False, False, "2026-11-02T00:00:00.000000Z")


def test_the_last_word_counts_in_any_order() -> None:
    revoked = act("key.revoked", LATER, change={"object": "key:k1", "details": {"revoked_s": OCTOBER.since_s + DAY_S}})
    inventory = told("inventory.keys", IN, keys=[FACTS])
    for first, second in ((inventory, revoked), (revoked, inventory)):
        keys = Keys(OCTOBER)
        for each in (first, second):
            (keys.act if each.event == "key.revoked" else keys.inventory)(each)
        assert row(keys)["state"] == "revoked"
        assert row(keys)["unused"]


def test_states_and_ends() -> None:
    for facts, state, never in (
        ({"expires_s": None}, "active", True),
        ({"expires_s": OCTOBER.until_s}, "expired", False),
        ({"overlap_ends_s": OCTOBER.until_s - 1}, "expired", False),
        ({"not_before_s": OCTOBER.until_s + 1}, "not_yet_valid", False),
        ({"revoked_s": OCTOBER.until_s + 1}, "active", False),
    ):
        keys = Keys(OCTOBER)
        keys.inventory(told("inventory.keys", keys=[FACTS | facts]))
        assert (row(keys)["state"], row(keys)["never_ends"]) == (state, never)


def test_a_key_that_had_ended_before_is_left_out() -> None:
    keys = Keys(OCTOBER)
    keys.inventory(told("inventory.keys", keys=[FACTS | {"expires_s": OCTOBER.since_s - 1}]))
    assert keys.told()["keys"] == []


def test_a_key_that_only_an_act_tells_of() -> None:
    keys = Keys(OCTOBER)
    details = {"owner": "enc:1:a:b", "team": "bio", "created_s": CREATED_S, "review_s": OCTOBER.until_s + 1}
    keys.act(act("key.created", change={"object": "key:k2", "details": details}))
    found = row(keys)
    assert (found["owner"], found["team"], found["review"], found["never_ends"]) == (
        "(sealed)",
        "bio",
        "in time",
        False,
    )


def test_what_is_no_word_of_a_key() -> None:
    keys = Keys(OCTOBER)
    keys.act(act("team.revoked", change={"object": "team:chem"}))
    keys.act(act("key.act_refused", change={"object": "key:k1"}, decision={"effect": "error"}))
    keys.inventory(told("inventory.keys", keys=["k1", {"team": "x"}]))
    assert keys.told() == {"keys": [], "new_addresses": []}


def test_the_store_knew_of_a_use_and_times_that_are_none() -> None:
    keys = Keys(OCTOBER)
    odd = {"created_s": "x", "review_s": None, "expires_s": 1e300}
    keys.inventory(told("inventory.keys", keys=[FACTS | odd | {"last_used_s": OCTOBER.until_s - 80 * DAY_S}]))
    found = row(keys)
    assert (found["unused"], found["age_days"], found["review"], found["ends"]) == (False, None, "unknown", "")


def test_new_addresses() -> None:
    keys = Keys(OCTOBER)
    for ts, key, address in (
        (BEFORE, "k1", "pa"), (IN, "k1", "pa"), (LATER, "k1", "pb"), (IN, "k1", "pb"), (IN, "k2", "pc"),
    ):  # fmt: skip
        keys.seen_from(told("key.seen_from", ts, key_id=key, address=address))
    assert keys.told()["new_addresses"] == [
        {"key": "k1", "address": "pb", "first_seen": IN, "first_of_the_key": False},
        {"key": "k2", "address": "pc", "first_seen": IN, "first_of_the_key": True},
    ]
    assert not keys.too_many


def test_more_addresses_than_are_told_apart() -> None:
    keys = Keys(OCTOBER, most_pairs=1)
    for address in ("pa", "pb", "pa"):
        keys.seen_from(told("key.seen_from", key_id="k1", address=address))
    assert keys.too_many
    assert len(keys.told()["new_addresses"]) == 1
