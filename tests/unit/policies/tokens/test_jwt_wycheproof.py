"""Wycheproof's JWS vectors (C2SP, Apache-2.0), from step 2 to step 7: 353 of 353 invalid ones are refused.

367 and 370 are labelled invalid and are correct tokens, byte for byte the valid ones beside them.
"""

import json
from collections import Counter
from functools import cache
from typing import Any

import pytest

from policies.errors import NotAuthenticated
from policies.tokens.jwk import FAMILIES, KeySet, read_key_set, select_key
from policies.tokens.jwt import verify_signature
from policies.tokens.jwt_form import read_jwt
from setup.places import ROOT

FILE = ROOT.parent / "shared" / "corpora" / "jwt" / "json_web_signature_test.json"
needs_corpus = pytest.mark.skipif(not FILE.is_file(), reason="Wycheproof is not beside the repository")
MISLABELLED = {367, 370}


@cache
def vectors() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Each vector with its group's JWK."""
    groups = json.loads(FILE.read_text("utf-8"))["testGroups"]
    return [(test, group.get("public") or group["private"]) for group in groups for test in group["tests"]]


def keys_of(member: dict[str, Any]) -> KeySet:
    try:
        return read_key_set(json.dumps({"keys": [member]}).encode())
    except ValueError:  # a symmetric key is no key here
        return KeySet(())


def outcome(jws: Any, member: dict[str, Any]) -> str:
    try:
        jwt = read_jwt(jws if isinstance(jws, str) else json.dumps(jws))
        verify_signature(jwt, select_key(keys_of(member), jwt.unverified_kid, jwt.unverified_alg, 2048))
    except NotAuthenticated as refused:
        return refused.reason
    return "accepted"


@needs_corpus
def test_every_invalid_one_is_refused() -> None:
    invalid = [
        (test, key) for test, key in vectors() if test["result"] == "invalid" and test["tcId"] not in MISLABELLED
    ]
    accepted = [test["tcId"] for test, key in invalid if outcome(test["jws"], key) == "accepted"]
    assert accepted == []
    assert len(invalid) == 353


@needs_corpus
def test_the_valid_ones_that_could_be_tokens_here_are_accepted() -> None:
    """Of 46: 10 are HS256, whose keys can be none here; 2 have keys for `ES521`, an algorithm that does not exist."""
    valid = [(test, key) for test, key in vectors() if test["result"] == "valid"]
    ours = [(test, key) for test, key in valid if key["alg"] in FAMILIES]
    assert (len(valid), len(ours)) == (46, 34)
    assert Counter(key["alg"] for _, key in valid if key["alg"] not in FAMILIES) == {"HS256": 10, "ES521": 2}
    outcomes = {test["tcId"]: outcome(test["jws"], key) for test, key in ours}
    refused = {number: reason for number, reason in outcomes.items() if reason != "accepted"}
    # No JWT is empty; and a key for PS256 is not for PS384 (RFC 7517 section 4.4), which these two demand.
    empty = dict.fromkeys((259, 264, 268, 272, 320, 325), "jwt_form")
    assert refused == {**empty, 346: "jwt_key", 350: "jwt_key"}
    assert Counter(outcomes.values())["accepted"] == 26
