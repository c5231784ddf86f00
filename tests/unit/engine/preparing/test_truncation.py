import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import ContextTooLong
from engine.preparing.truncation import fit_continued, fit_input, fit_messages
from policies.call import Message


def message(role: str, tokens: int) -> Message:
    return Message(role, "x" * tokens)


def count(messages: object) -> list[int]:
    """One id a character, its value the length of the message it came from."""
    return [len(one.content) for one in messages for _ in one.content]  # type: ignore[attr-defined]


def test_what_fits_is_kept_whole() -> None:
    assert (
        fit_messages([message("user", 3), message("assistant", 4)], count, limit_tokens=7, truncate=False)
        == [3] * 3 + [4] * 4
    )


def test_system_messages_and_the_latest_are_kept() -> None:
    talk = [message("system", 2), *(message(role, 10) for role in ("user", "assistant") * 4), message("user", 5)]
    assert fit_messages(talk, count, limit_tokens=30, truncate=True) == [2] * 2 + [10] * 20 + [5] * 5
    assert fit_messages(talk, count, limit_tokens=7, truncate=True) == [2] * 2 + [5] * 5


def test_a_last_message_of_a_tool_is_kept() -> None:
    talk = [message("user", 10), message("assistant", 10), message("tool", 3)]
    assert fit_messages(talk, count, limit_tokens=5, truncate=True) == [3] * 3


@pytest.mark.parametrize("truncate", [True, False])
def test_a_last_message_that_does_not_fit_is_told(truncate: bool) -> None:
    with pytest.raises(ContextTooLong) as caught:
        fit_messages([message("system", 4), message("user", 8)], count, limit_tokens=10, truncate=truncate)
    assert (caught.value.prompt_tokens, caught.value.limit_tokens) == (12, 10)
    with pytest.raises(ContextTooLong):
        fit_messages([message("user", 11)], count, limit_tokens=10, truncate=truncate)


@given(
    st.lists(st.tuples(st.sampled_from(("system", "user", "assistant")), st.integers(0, 9)), min_size=1),
    st.integers(1, 60),
)
def test_the_first_cut_that_fits_is_taken(shape: list[tuple[str, int]], limit: int) -> None:
    talk = [message(role, size) for role, size in shape]
    starts = [0, *(i for i, one in enumerate(talk) if i and one.role == "user"), len(talk) - 1]
    candidates = [count([*(m for m in talk[:i] if m.role == "system"), *talk[i:]]) for i in sorted(set(starts))]
    fitting = [ids for ids in candidates if len(ids) <= limit]
    if fitting:
        assert fit_messages(talk, count, limit_tokens=limit, truncate=True) == fitting[0]
    else:
        with pytest.raises(ContextTooLong):
            fit_messages(talk, count, limit_tokens=limit, truncate=True)


def test_an_earlier_context_gives_way_from_its_front() -> None:
    assert fit_continued([1, 2, 3], [9], limit_tokens=3, truncate=True) == [2, 3, 9]
    assert fit_continued([1, 2, 3], [9], limit_tokens=4, truncate=False) == [1, 2, 3, 9]
    assert fit_continued([1], [8, 9], limit_tokens=2, truncate=True) == [8, 9]
    for context, prompt, truncate in (([1, 2], [9], False), ([], [7, 8, 9], True)):
        with pytest.raises(ContextTooLong):
            fit_continued(context, prompt, limit_tokens=2, truncate=truncate)


def test_an_input_is_cut_at_its_end() -> None:
    assert fit_input([1, 2, 3, 4], limit_tokens=3, truncate=True, closes=False) == [1, 2, 3]
    assert fit_input([1, 2, 3, 4], limit_tokens=3, truncate=True, closes=True) == [1, 2, 4]
    assert fit_input([1, 2], limit_tokens=3, truncate=False, closes=True) == [1, 2]
    with pytest.raises(ContextTooLong):
        fit_input([1, 2, 3, 4], limit_tokens=3, truncate=False, closes=False)
