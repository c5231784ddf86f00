"""The same request of the same caller is known again, and nobody else's is taken for it."""

from gateway.call_identity import DIGEST_BYTES, call_identity
from policies.call import Call


def call(model: str = "m", prompt: str = "hello") -> Call:
    return Call(kind="completion", model=model, prompt=prompt)


def test_the_same_call_of_the_same_caller_is_known_again() -> None:
    assert call_identity("key:1", call()) == call_identity("key:1", call())
    assert len(call_identity("key:1", call())) == DIGEST_BYTES


def test_another_caller_or_another_call_is_not() -> None:
    known = call_identity("key:1", call())
    assert known != call_identity("key:2", call())
    assert known != call_identity("key:1", call(model="n"))
    assert known != call_identity("key:1", call(prompt="hello "))


def test_nothing_of_the_prompt_is_in_it() -> None:
    assert b"secret" not in call_identity("secret", call(prompt="secret" * 100))
