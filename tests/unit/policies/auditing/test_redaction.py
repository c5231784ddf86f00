"""What the masks know is masked; ordinary text is not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing.redaction import redacted


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("write to anna.b+x@corp.example, please", "write to [email], please"),
        ("IBAN DE89 3704 0044 0532 0130 00 and more", "IBAN [iban] and more"),
        ("gb82west12345698765432", "[iban]"),
        ("card 4111 1111 1111 1111, 4111-1111-1111-1111", "card [card], [card]"),
        ("call +49 (30) 1234-5678 or 030 12345678", "call [phone] or [phone]"),
        ("account 12345678", "account [number]"),
        ("born 1980-01-31", "born [number]"),
        ("\u0661\u0662\u0663\u0664\u0665\u0666\u0667", "[number]"),
        ("\uff11\uff12\uff13\uff14\uff15\uff16\uff17", "[number]"),
        ("key sk-abcdefghijklmnop1234", "key [key]"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig", "jwt [key]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- x", "[key] x"),
        ("-----BEGIN PRIVATE KEY-----\nnever ends", "[key]"),
        ("corral_abcdefghijkl_" + "x" * 49, "corral_[masked]"),
        ("ordinary words, 42 of them in 2026", "ordinary words, 42 of them in 2026"),
        ("version 1.2.3", "version 1.2.3"),
    ],
)
def test_masks(text: str, masked: str) -> None:
    assert redacted(text) == masked


def test_what_only_looks_like_an_iban_or_card_is_still_a_number() -> None:
    assert redacted("4111 1111 1111 1112") == "[number]"
    assert redacted("DE00370400440532013000").startswith("DE[")
    assert redacted("gb82we\u017ft12345698765432") == "gb82we\u017ft[number]"  # a long s, which is an S in any case


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.sampled_from(["anna@corp.example", "4111111111111111", "+4930123456789"]))
def test_nothing_around_it_hides_it(around: str, secret: str) -> None:
    assert secret not in redacted(f"{around} {secret} {around}")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_masking_twice_changes_nothing(text: str) -> None:
    once = redacted(text)
    assert redacted(once) == once
