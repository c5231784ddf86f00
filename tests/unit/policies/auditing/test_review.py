"""Invariant: a sign-off names whole stretches, once each, and is never a key's, nor of own changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.audit_record import MAX_DETAILS, Actor
from policies.auditing.review import MAX_CHAINS, Span, read_spans, require_reviewer, span_details, spans_text
from policies.errors import NotAuthorized

PERSON = Actor(kind="subject", name="anna")
NAMES = st.lists(st.from_regex(r"[a-z][a-z0-9.-]{0,15}", fullmatch=True), min_size=1, max_size=MAX_CHAINS, unique=True)


@given(names=NAMES, first=st.integers(0, 10**9), more=st.integers(0, 10**9))
def test_stretches_are_read_as_they_are_written(names: list[str], first: int, more: int) -> None:
    spans = tuple(sorted(Span(name, first, first + more) for name in names))
    assert read_spans(spans_text(spans)) == spans
    assert list(span_details(spans).values()) == [span.text for span in spans]
    assert len(span_details(spans)) + 3 <= MAX_DETAILS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no stretch"),
        ("box:5", "names no stretch"),
        ("box:5-4", "names no stretch"),
        ("box:1-2,", ""),
        ("box:1-2,x", "names no stretch"),
        ("a b:1-2", "names no stretch"),
        ("box:1-2,box:3-4", "named twice"),
        (",".join(f"b{each}:0-1" for each in range(MAX_CHAINS + 1)), "at most 24 chains, not 25"),
    ],
)
def test_what_is_no_stretch_is_said(text: str, said: str) -> None:
    if not said:
        assert read_spans(text) == (Span("box", 1, 2),)
        return
    with pytest.raises(ValueError, match=said):
        read_spans(text)


@pytest.mark.parametrize("kind", ["subject", "operator"])
def test_a_person_who_changed_nothing_signs(kind: str) -> None:
    require_reviewer(Actor(kind=kind, name="anna"), 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["key", "anonymous", "system"])
def test_a_key_signs_nothing(kind: str) -> None:
    with pytest.raises(NotAuthorized) as refused:
        require_reviewer(Actor(kind=kind, name="anna"), 0)  # type: ignore[arg-type]
    assert refused.value.reason == "review_by_no_person"


def test_nobody_signs_own_changes() -> None:
    with pytest.raises(NotAuthorized) as refused:
        require_reviewer(PERSON, 1)
    assert refused.value.reason == "review_of_own_changes"
