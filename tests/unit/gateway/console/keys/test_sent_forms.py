"""A form counts once."""

import secrets

import pytest

from gateway.console.keys import sent_forms
from gateway.console.keys.sent_forms import SentForms


def test_a_form_counts_once():
    sent, form_id = SentForms(), secrets.token_urlsafe(16)
    assert [sent.take(form_id) for _ in range(3)] == [True, False, False]
    assert sent.take(secrets.token_urlsafe(16))


@pytest.mark.parametrize("form_id", ["", "short", "x" * 23, "x" * 10_000, "é" * 22, "a" * 21 + "\n"])
def test_what_is_no_id_of_ours_counts_as_sent(form_id: str):
    assert not SentForms().take(form_id)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sent_forms, "MOST", 3)
    sent, ids = SentForms(), [f"{number:022d}" for number in range(5)]
    assert all(map(sent.take, ids))
    assert not any(map(sent.take, ids[2:]))
    assert len(sent._used) == 3
