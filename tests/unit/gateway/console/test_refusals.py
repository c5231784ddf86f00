"""Every refusal has a status and words, and tells no private reason."""

import pytest

import policies.errors
from engine.errors import WorkerDied
from gateway.admin.act import ActRefused
from gateway.console.page import Turned
from gateway.console.refusals import BY_REASON, ROWS, Told, told
from gateway.console.words import load_words
from gateway.dialects.error_headers import retry_after
from policies.errors import BadRequest, BodyTooLarge, NotAuthenticated, NotAuthorized, RateLimited, Refused
from policies.worded import worded


def kinds() -> list[type[Refused]]:
    every = [each for each in vars(policies.errors).values() if isinstance(each, type) and issubclass(each, Refused)]
    return sorted(every, key=lambda each: each.__name__)


@pytest.mark.parametrize("kind", kinds())
def test_every_kind_of_refusal_has_a_row_and_words(kind):
    status, key, _ = (
        told(kind.__new__(kind, "secret reason"))
        if kind not in {BodyTooLarge, RateLimited}
        else (403, "frame.why_denied", {})
    )
    assert 400 <= status <= 503
    assert key in load_words("zh").texts
    assert any(issubclass(kind, row) for row, _, _ in ROWS)


def test_what_fills_the_line_is_public():
    assert told(BodyTooLarge("body_over_cap", limit_bytes=7)) == (413, "frame.why_too_large", {"limit": 7})
    guessing = RateLimited("guessing", limit="x", retry_after_s=0.2)
    assert told(guessing) == (429, "frame.why_guessing", {"seconds": 1})
    later = RateLimited("guessing", limit="x", retry_after_s=61.2)
    assert told(later)[2] == {"seconds": int(dict(retry_after(later))["Retry-After"])}


def test_a_form_of_another_session_and_a_missing_role_are_told_apart():
    assert told(BadRequest("csrf_token_wrong", "x"))[1] == "frame.why_form"
    assert told(BadRequest("form_malformed", "x"))[1] == "frame.why_body"
    assert told(NotAuthorized("console_role_none"))[1] == "frame.why_role_none"
    assert set(BY_REASON.values()) <= load_words("en").texts.keys()


def test_a_pages_own_refusal_and_an_acts_line_are_told_as_they_are():
    assert told(Turned(404, "frame.why_not_found", a=1)) == (404, "frame.why_not_found", {"a": 1})
    assert told(ActRefused("code", "no such key")) == (409, "", {"line": "no such key"})
    line = worded("no such key", "key_unknown", key="x")
    assert told(ActRefused("code", line)) == (409, "", {"line": line})


def test_an_engines_fault_and_a_bug():
    assert told(WorkerDied("died"))[0] == 503
    assert told(None) == (500, "frame.why_bug", {})
    assert told(KeyError("x"))[0] == 500


def test_what_was_recorded_keeps_its_cause():
    cause = NotAuthenticated("x", presented=True)
    assert Told(cause).cause is cause
