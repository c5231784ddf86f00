"""Invariant: what a client wrote is never markup, and what is not covered stands first."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.auditing.report import Proof, Report
from policies.auditing.report_text import MAX_SHOWN, cell, report_text, table
from tests.report_lines import AFTER, IN, OCTOBER, stored


def test_cells() -> None:
    assert [cell(value) for value in (None, True, False, 7, "a b", "request.completed")] == [
        "", "yes", "no", "7", "a b", "request.completed",
    ]  # fmt: skip
    assert cell("two_persons") == "two_persons"
    assert cell("_x_") == "`_x_`"
    assert cell("<b>|") == "`<b>\\|`"
    assert cell("`a`") == "`` `a` ``"
    assert cell("a``b*") == "```a``b*```"
    assert cell(["box-0", "<i>"]) == "box-0 `<i>`"
    assert cell("a\nb") == "a b"


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_whatever_a_cell_holds_is_one_cell(text: str) -> None:
    shown = cell(text)
    assert "\n" not in shown
    assert not re.search(r"(?<!\\)\|", shown)
    if re.search(r"[<>&*\[\]!#]", shown):
        assert shown.startswith("`")
        assert shown.endswith("`")


def test_tables() -> None:
    assert table(("a",), []) == ["None.", ""]
    rows = [{"a_b": number} for number in range(MAX_SHOWN + 2)]
    lines = table(("a_b",), rows)
    assert lines[0] == "| a b |"
    assert lines[-2] == "... and 2 more (see --json)."


def test_an_empty_report_has_every_section() -> None:
    report = Report(OCTOBER)
    text = report_text(report.told([], [], ""))
    assert text.index("**The period is not wholly covered:**") < text.index("## Completeness and anchors")
    assert [line for line in text.split("\n") if line.startswith("## ")] == [
        "## Completeness and anchors", "## Denials", "## New addresses of keys", "## Keys", "## Privileged acts",
        "## Unsafe switches in force", "## Exceptions", "## Egress", "## Models", "## Readers of the log", "## Clocks",
        "## Pruning and restores", "## Worth a look", "## Use by team", "## Use by person",
    ]  # fmt: skip
    assert "Last restore: none in the log." in text


def test_what_the_log_holds_is_shown() -> None:
    report = Report(OCTOBER)
    report.begin("box-0", 0)
    report.take(stored("home.restored", IN, stage="system"))
    report.take(stored("worker.counted", IN, stage="system", details={"target": "pool:w", "life": "a", "taken": 3}))
    work = {"req_id": "1", "stage": "completed", "actor": {"team": "chem"}, "action": {"model": "<img>|"}}
    report.take(stored("request.completed", IN, **work, result={"target": "pool:w", "slot_us": 1_500_000}))
    report.take(stored("gateway.stopped", AFTER, stage="system"))
    report.end()
    data = report.told([Proof(chain="box-0", size=9, root="ab")], [], "corral/x")
    data["privileged_acts_in_all"] = 7
    text = report_text(data)
    assert f"Last restore: {IN} (box-0)." in text
    assert "`<img>\\|`" in text
    assert "| chem | 1 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 1.500000 |" in text
    assert "7 acts, of which 0 are listed." in text
    assert "3 taken by the worker that no record names" in text


def test_a_period_that_is_wholly_covered_says_so() -> None:
    data = Report(OCTOBER).told([], [], "corral/x") | {"notices": []}
    assert "The period is wholly covered" in report_text(data)
