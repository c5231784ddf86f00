"""Whatever a caller says, its terms are never looser than the team's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import BadRequest
from policies.policy import BANDS, Team
from policies.queue_wish import MAX_MS, QueueWish, answer_limit_s, queue_terms, read_queue_wish

TEAM = Team(band="standard", first_token_s=10.0, max_wait_s=60.0, max_answer_s=300.0)
REPORTS = Team(band="standard", first_token_s=10.0, promise_mode="report")
NUMBERS = ["X-SLO-TTFT-Ms", "x-llm-d-slo-ttft-ms", "X-Deadline-Ms"]
SECONDS = st.none() | st.floats(0.001, 86_400)


def read(*headers: tuple[str, str]) -> QueueWish:
    return read_queue_wish([(name.encode(), value.encode("latin-1")) for name, value in headers])


# ---- reading


def test_nothing_is_wished_without_headers() -> None:
    assert read(("Host", "localhost"), ("X-Other", "1")) == QueueWish()


def test_all_of_them() -> None:
    said = read(
        ("x-slo-ttft-ms", "2500"), ("X-DEADLINE-MS", " 30000 "), ("X-Priority", "batch"), ("X-Queue-Events", "1")
    )
    assert said == QueueWish(first_token_s=2.5, deadline_s=30.0, band="batch", events=True)
    assert read(("X-LLM-D-SLO-TTFT-Ms", "1")) == QueueWish(first_token_s=0.001)
    assert read(("X-Queue-Events", "0")) == QueueWish()


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize(
    "value", ["", "0", "-1", "+1", "1.5", "1e3", "0x10", "1_000", "٣", "\xb2", "soon", str(MAX_MS + 1)]
)
def test_a_bad_number_is_named(name: str, value: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read_queue_wish([(name.encode(), value.encode())])
    assert refused.value.reason == "queue_header_value"
    public = "X-Deadline-Ms" if name == "X-Deadline-Ms" else "X-SLO-TTFT-Ms"
    assert refused.value.text == f"{public} must be a whole number of milliseconds from 1 to 86400000"


def test_the_largest_number_is_a_day() -> None:
    assert read(("X-Deadline-Ms", str(MAX_MS))).deadline_s == 86_400


@pytest.mark.parametrize("value", ["", "yes", "true", "2", "1,1"])
def test_events_are_on_or_off(value: str) -> None:
    with pytest.raises(BadRequest, match="queue_header_value") as refused:
        read(("X-Queue-Events", value))
    assert refused.value.text == "X-Queue-Events must be 1 or 0"


@pytest.mark.parametrize("name", [*NUMBERS, "X-Priority", "X-Queue-Events"])
def test_a_header_stands_once(name: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read((name, "1"), (name.upper(), "1"))
    assert refused.value.reason == "queue_header_repeated"
    assert refused.value.text.endswith("may stand only once")


def test_two_names_of_one_header_are_a_repetition() -> None:
    with pytest.raises(BadRequest, match="queue_header_repeated"):
        read(("X-SLO-TTFT-Ms", "1"), ("x-llm-d-slo-ttft-ms", "1"))


# ---- terms


def test_the_policy_alone() -> None:
    terms = queue_terms(QueueWish(), TEAM, BANDS)
    assert (terms.band, terms.promise_s, terms.enforced, terms.max_wait_s) == ("standard", 10.0, True, 60.0)
    none = queue_terms(QueueWish(), Team(), BANDS)
    assert (none.promise_s, none.enforced, none.max_wait_s) == (None, True, 120.0)


def test_a_caller_tightens_the_promise() -> None:
    assert queue_terms(QueueWish(first_token_s=2.0), TEAM, BANDS).promise_s == 2.0
    assert queue_terms(QueueWish(first_token_s=20.0), TEAM, BANDS).promise_s == 10.0
    assert queue_terms(QueueWish(first_token_s=2.0), Team(), BANDS).promise_s == 2.0


def test_every_bound_bounds_the_wait() -> None:
    assert queue_terms(QueueWish(first_token_s=20.0), TEAM, BANDS).max_wait_s == 20.0
    assert queue_terms(QueueWish(deadline_s=5.0), TEAM, BANDS).max_wait_s == 5.0
    assert queue_terms(QueueWish(deadline_s=500.0), TEAM, BANDS).max_wait_s == 60.0


def test_what_was_spent_before_the_queue_counts() -> None:
    terms = queue_terms(QueueWish(deadline_s=5.0), TEAM, BANDS, spent_s=2.0)
    assert (terms.promise_s, terms.max_wait_s) == (8.0, 3.0)
    late = queue_terms(QueueWish(first_token_s=1.0), TEAM, BANDS, spent_s=2.0)
    assert (late.promise_s, late.max_wait_s) == (0.0, 0.0)


def test_a_promise_that_reports_refuses_nothing_but_a_callers_own_tighter_one_does() -> None:
    assert not queue_terms(QueueWish(), REPORTS, BANDS).enforced
    own = queue_terms(QueueWish(first_token_s=3.0), REPORTS, BANDS)
    assert (own.promise_s, own.enforced) == (3.0, True)
    looser = queue_terms(QueueWish(first_token_s=30.0), REPORTS, BANDS)
    assert (looser.promise_s, looser.enforced, looser.max_wait_s) == (10.0, False, 30.0)


@pytest.mark.parametrize(
    ("asked", "band"),
    [("", "standard"), ("batch", "batch"), ("standard", "standard"), ("interactive", "standard"), ("vip", "standard"),
     ("5", "standard"), ("BATCH", "standard")],
)  # fmt: skip
def test_a_band_is_the_teams_own_or_a_lower_one(asked: str, band: str) -> None:
    assert queue_terms(QueueWish(band=asked), TEAM, BANDS).band == band


@given(SECONDS, SECONDS, SECONDS, st.sampled_from(["", "interactive", "standard", "batch", "x"]), st.floats(0, 100))
def test_nothing_is_ever_loosened(
    promise_s: float | None, wished_s: float | None, deadline_s: float | None, band: str, spent_s: float
) -> None:
    team = Team(first_token_s=promise_s)
    wish = QueueWish(first_token_s=wished_s, deadline_s=deadline_s, band=band)
    own, terms = queue_terms(QueueWish(), team, BANDS, spent_s), queue_terms(wish, team, BANDS, spent_s)
    assert terms.max_wait_s <= own.max_wait_s
    assert own.promise_s is None or (terms.promise_s is not None and terms.promise_s <= own.promise_s)
    assert terms.enforced
    assert list(BANDS).index(terms.band) >= list(BANDS).index(own.band)
    assert answer_limit_s(wish, team, spent_s) <= team.max_answer_s


def test_a_deadline_ends_the_answer() -> None:
    assert answer_limit_s(QueueWish(), TEAM, 50.0) == 300.0
    assert answer_limit_s(QueueWish(deadline_s=60.0), TEAM, 50.0) == 10.0
    assert answer_limit_s(QueueWish(deadline_s=600.0), TEAM, 50.0) == 300.0
    assert answer_limit_s(QueueWish(deadline_s=6.0), TEAM, 50.0) == 0.0


def test_a_band_that_the_policy_no_longer_has_stays_the_teams_own() -> None:
    gone = Team(band="gone")
    assert queue_terms(QueueWish(band="batch"), gone, BANDS).band == "gone"
