"""Invariant: a review is signed over what the log holds of the time asked, by somebody who changed nothing in it."""

import pytest

from tests.stored_log import StoredChain
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.test_audit_search import STAGES, recorded


@pytest.fixture
def reviewed(corral: Corral) -> Corral:
    """A home with a chain of another gateway, of another day than the home's own."""
    StoredChain(corral.home.audit / "box-9").add([each | {"ts": each["ts"].replace("2026", "2020")} for each in STAGES])
    return corral


def test_what_was_looked_at_is_signed(reviewed: Corral) -> None:
    status, out, err = reviewed.run(
        "audit", "review", "--since", "2020-11-20", "--until", "2020-11-21", "--outcome", "deny", "--remark", "all fine"
    )
    assert (status, err) == (0, "")
    assert out == "signed off: box-9:0-2; 1 records fit what was asked\n"
    (record,) = recorded(reviewed, "audit.reviewed")
    details = record["change"]["details"]
    assert (details["hits"], details["range_1"], record["code"]) == (1, "box-9:0-2", "C3305I")
    assert details["filter"].startswith("enc:1:")
    (hit,) = reviewed.json("audit", "search", "--event", "audit.reviewed")["hits"]
    assert hit["record"]["change"]["reason"] == "all fine"


def test_part_of_it_can_be_named(reviewed: Corral) -> None:
    signed = reviewed.json("audit", "review", "--range", "box-9:0-1", "--remark", "the first two", "--ticket", "R-1")
    assert signed == {"chains": ["box-9:0-1"], "hits": 2}


def test_who_made_the_home_does_not_sign_its_making(reviewed: Corral) -> None:
    status, out, err = reviewed.run("audit", "review", "--remark", "all of it")
    assert (status, out) == (2, "")
    assert "you changed something in what you would sign: have somebody else review it" in err
    (record,) = recorded(reviewed, "audit.review_refused")
    assert record["decision"]["reason"] == "review_of_own_changes"
    assert recorded(reviewed, "audit.reviewed") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--range", "box-9"), "--range: 'box-9' names no stretch of the log"),
        (("--range", "box-9:0-77"), "the log has no records box-9:0-77"),
        (("--range", "nowhere:0-1"), "the log has no records nowhere:0-1"),
        (("--since", "soon"), "since: 'soon' is no time"),
        (("--since", "2019-01-01", "--until", "2019-01-02"), "there is nothing to sign"),
        (("--saved", "none"), "no search is kept as 'none'"),
    ],
)
def test_bad_input_is_one_clear_line(reviewed: Corral, words: tuple[str, ...], said: str) -> None:
    status, out, err = reviewed.run("audit", "review", "--remark", "x", *words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.count("\n") == 1


def test_a_remark_is_demanded(reviewed: Corral) -> None:
    assert "needs a remark" in reviewed.run("audit", "review", "--range", "box-9:0-1", "--remark", " ")[2]
