"""How long the keys of persons are needed."""

from datetime import UTC, datetime

from policies.auditing.person_key_life import MARGIN_S, first_needed_month


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def test_the_oldest_chain_decides():
    assert first_needed_month([at("2026-11-20"), at("2026-03-05")]) == "2026-03"


def test_a_day_is_left_at_the_beginning_of_a_month():
    assert first_needed_month([at("2026-03-01T12:00:00")]) == "2026-02"
    assert first_needed_month([at("2026-03-01") + MARGIN_S]) == "2026-03"


def test_where_one_cannot_be_dated_nothing_goes():
    assert first_needed_month([at("2026-03-05"), None]) == ""
    assert first_needed_month([]) == ""
