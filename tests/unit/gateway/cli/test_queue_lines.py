"""The queue in lines: what a tired reader finds, at no more than 100 columns."""

import pytest
from msgspec.structs import replace

from gateway.cli.queue_lines import MAX_ROWS, queue_lines, short_rate, short_time
from policies.admitting.queue_view import QueueView, TargetView
from setup.places import ROOT
from tests.unit.gateway.queue_views import WORKER, pool_view, queue_view, team_view

FLOOD = team_view(
    "flood",
    weight=2.0,
    waiting=12,
    running=3,
    backlog_slot_s=254.0,
    share=0.72,
    counter=31.2,
    predicted_wait_s=12.3,
    p90_wait_s=20.0,
    actual_wait_s=9.14,
    coverage=0.714,
    predicted_ratio=0.9,
)


LIGHT = team_view(
    "support",
    band="interactive",
    waiting=1,
    backlog_slot_s=8.8,
    share=0.28,
    predicted_wait_s=1.4,
    p90_wait_s=3.1,
    actual_wait_s=1.2,
    coverage=0.74,
    predicted_ratio=1.1,
)
PAGE_VIEW = queue_view(
    teams=(FLOOD, LIGHT),
    pools=(pool_view("qwen3:8b", waiting=13, running=4),),
    targets=(replace(WORKER, id="pool:worker-0", models=("qwen3:8b",), running=4),),
    waiting=13,
    running=4,
    bookings=2,
    admitted=198,
    refused=16,
    refused_late=1,
)
"""The view that docs/queue-operations.md shows."""


def lines(view: QueueView) -> list[str]:
    return "\n".join(queue_lines(view)).splitlines()


def rows(view: QueueView, head: str) -> list[list[str]]:
    """The cells of the table whose head begins with `head`."""
    shown = lines(view)
    start = next(place for place, line in enumerate(shown) if line.startswith(f"{head}  "))
    found = []
    for line in shown[start + 1 :]:
        if not line or ": " in line[:8]:
            break
        found.append([cell.strip() for cell in line.split("  ") if cell.strip()])
    return found


def test_the_page_shows_what_the_command_shows() -> None:
    page = (ROOT / "docs" / "queue-operations.md").read_text()
    shown = "\n".join(f"    {line}".rstrip() for line in lines(PAGE_VIEW))
    assert shown in page


def test_an_idle_queue_is_two_lines() -> None:
    assert lines(queue_view()) == [
        "queue:   0 wait, 0 run, 0 refused ones are booked to come back",
        "decided: 0 got a slot, 0 were refused",
    ]


def test_refusals_after_a_wait_are_told_apart() -> None:
    assert "decided: 198 got a slot, 16 were refused (4 of them after a wait)" in lines(
        queue_view(admitted=198, refused=16, refused_late=4)
    )
    assert lines(queue_view(refused=1, bookings=1)) == [
        "queue:   0 wait, 0 run, 1 refused one is booked to come back",
        "decided: 0 got a slot, 1 was refused",
    ]


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({"decided_by": "gw1", "epoch": 7}, "decides: gw1 for all gateways (epoch 7)"),
        ({"reason": "unreachable"}, "decides: this gateway ALONE: unreachable"),
        ({"decided_by": "gw1", "epoch": 7, "reason": "late"}, "decides: gw1 for all gateways (epoch 7): late"),
    ],
)
def test_who_decides_where_there_are_several(values: dict[str, object], line: str) -> None:
    assert line in lines(queue_view(**values))


def test_who_waits_most_comes_first() -> None:
    idle, busy = team_view("a-idle", running=0, share=0.0), team_view("b-busy", running=2)
    found = rows(queue_view(teams=(idle, busy, FLOOD)), "team")
    assert [row[0] for row in found] == ["flood", "b-busy", "a-idle"]


def test_a_teams_row() -> None:
    [row] = rows(queue_view(teams=(FLOOD,)), "team")
    assert row == ["flood", "standard", "2", "12", "3", "4m", "72%", "50%", "31s", "12s", "20s", "9.1s", "71%"]


def test_a_team_that_never_waited_has_no_such_figures() -> None:
    [row] = rows(queue_view(teams=(team_view("light", band=""),)), "team")
    assert row[1] == "-"
    assert row[-2:] == ["-", "-"]


def test_a_pools_row() -> None:
    slow = pool_view("vision", adapter="lora", decode_s_per_token=1.25, promise_s=0.0, waiting=1)
    first, second = rows(queue_view(pools=(pool_view("m:latest"), slow)), "model")
    assert first == ["vision+lora", "chat", "1", "3/4", "25/min", "9.3s", "412 x 0.77ms", "150 x 1.2s", "-"]
    assert second == ["m:latest", "chat", "0", "3/4", "25/min", "9.3s", "412 x 0.77ms", "150 x 57ms", "10s"]


def test_a_pool_that_served_nobody_has_no_measures() -> None:
    [row] = rows(queue_view(pools=(pool_view("m", samples=0),)), "model")
    assert row[5:8] == ["-", "-", "-"]


def test_targets_those_that_are_away_first() -> None:
    away = TargetView(id="x", slots=2, running=0, ready=False)
    first, second = rows(queue_view(targets=(WORKER, away)), "target")
    assert first == ["x", "-", "AWAY", "0/2", "0%", "-", "-"]
    assert second == ["worker", "m:latest", "ready", "3/4", "93%", "1.2s", "1: 17ms, 2: 20ms, 4: 25ms, 5: 31ms"]


def test_targets_are_numbered_as_people_count() -> None:
    named = [TargetView(id=f"pool:worker-{number}", slots=1, running=0, ready=True) for number in (10, 2, 1)]
    found = rows(queue_view(targets=tuple(named)), "target")
    assert [row[0] for row in found] == ["pool:worker-1", "pool:worker-2", "pool:worker-10"]


def test_more_teams_than_fit_are_counted() -> None:
    many = queue_view(teams=tuple(team_view(f"t{number:03}") for number in range(MAX_ROWS + 5)))
    assert len(rows(many, "team")) == MAX_ROWS + 1
    assert "... and 5 more: --json shows all" in lines(many)


def test_the_widest_lines_fit() -> None:
    wide = team_view(
        "a" * 63,
        band="interactive",
        weight=1e6,
        waiting=9999,
        running=512,
        backlog_slot_s=1e5,
        share=1.0,
        due=1.0,
        counter=7000,
        predicted_wait_s=118,
        p90_wait_s=7000,
        actual_wait_s=118,
        coverage=1.0,
        predicted_ratio=1.0,
    )
    view = queue_view(
        teams=(wide,),
        pools=(pool_view("m" * 80, kind="completion", prompt_tokens=16_384, output_tokens=4096, waiting=9999),),
        targets=(replace(WORKER, id="u" * 90, models=("m" * 90,), slots=16, running=16, load_s=118),),
        waiting=9999,
        running=512,
        bookings=999,
    )
    widest = max(lines(view), key=len)
    assert len(widest) <= 100, widest


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0s"),
        (0.0004, "0ms"),
        (0.085, "85ms"),
        (0.85, "0.8s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (118.0, "118s"),
        (120.0, "2m"),
        (7100.0, "118m"),
        (12_600.0, "3.5h"),
        (360_000.0, "100h"),
        (-3.0, "0s"),
    ],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert short_time(seconds) == text


@pytest.mark.parametrize(
    ("per_s", "text"),
    [(123.4, "123/s"), (1.0, "1/s"), (0.42, "25/min"), (0.0166, "1/min"), (0.001, "3.6/h"), (0.0, "-")],
)
def test_rates_are_short(per_s: float, text: str) -> None:
    assert short_rate(per_s) == text
