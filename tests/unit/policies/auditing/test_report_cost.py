"""Invariant: each request that had work done is in one row, and the total is the sum of the rows as shown."""

from policies.auditing.report_cost import Cost, cost_text
from policies.auditing.report_period import Period
from policies.auditing.report_prices import ModelPrices, Prices
from tests.report_lines import AFTER, BEFORE, IN, LATER, OCTOBER, stored

PRICES = Prices(
    currency="EUR",
    prices=ModelPrices(prompt_tokens="1", output_tokens="2", slot_hour="3.6"),
    models={"free:1": ModelPrices()},
)


def request(name: str, ts: str = IN, team: str = "chem", model: str = "m:1", slot_us: int | None = 1_000_000) -> bytes:
    result = {"target": "pool:w", "prompt_tokens": 1000, "output_tokens": 500}
    result |= {} if slot_us is None else {"slot_us": slot_us}
    parts = {"req_id": name, "stage": "completed", "actor": {"team": team}, "action": {"model": model}}
    return stored("request.completed", ts, **parts, result=result)


def told(*lines: bytes, first_seq: int = 0, period: Period = OCTOBER) -> dict:
    cost = Cost(period)
    cost.begin("box-0", first_seq)
    for each in lines:
        cost.take(each)
    cost.end()
    return cost.told(PRICES, [], "corral/x")


def test_rows_and_sums() -> None:
    data = told(
        request("before", BEFORE), request("1"), request("1"), request("2"), request("3", LATER, team="bio"),
        request("4", model="free:1"), stored("request.limited", req_id="5", stage="denied"), request("after", AFTER),
    )  # fmt: skip
    assert data["notices"] == []
    assert [(row["team"], row["model"], row["requests"], row["slot_s"], row["amount"]) for row in data["rows"]] == [
        ("bio", "m:1", 1, "1.000000", "0.003000"),
        ("chem", "free:1", 1, "1.000000", "0.000000"),
        ("chem", "m:1", 2, "2.000000", "0.006000"),
    ]
    assert data["teams"] == [{"team": "bio", "amount": "0.003000"}, {"team": "chem", "amount": "0.006000"}]
    assert data["total"] == "0.009000"
    text = cost_text(data)
    assert "| bio | m:1 | 1 | 1000 | 0 | 500 | 1.000000 | 0.003000 |" in text
    assert text.endswith("Total: 0.009000 EUR\n")


def test_an_empty_log() -> None:
    cost = Cost(OCTOBER)
    data = cost.told(PRICES, ["gone"], "")
    assert data["notices"] == [
        "TAMPERED: gone",
        "the log does not reach the end of the period: its last record is of no record at all",
    ]
    assert data["total"] == "0.000000"
    assert "None." in cost_text(data)


def test_what_is_not_covered_stands_on_top() -> None:
    data = told(request("1", slot_us=None), b"no record\n", first_seq=7)
    assert data["notices"] == [
        f"the log does not reach the end of the period: its last record is of {IN}",
        f"box-0: pruned before seq 7 of {IN}: what was used before is not counted",
        "1 lines could not be read",
        "1 requests have no slot time: an older version of Corral recorded them",
    ]
    assert "- **" in cost_text(data)
