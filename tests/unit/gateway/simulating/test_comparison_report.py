"""Invariant: a reader sees every figure of every policy, and what the model leaves out."""

from xml.etree import ElementTree as Tree

from msgspec import structs

from gateway.simulating.comparison import Chance, Played, Side, play
from gateway.simulating.comparison_report import (
    Setting,
    plot_lines,
    report_data,
    report_lines,
    report_rows,
    report_svg,
)
from gateway.simulating.engine_model import EngineModel
from policies.policy import Policy, Team
from tests.unit.gateway.simulating.test_comparison import FLOODED, POOL

YARDSTICKS = {"light": 5.0, "flood": 5.0}

SETTING = Setting(
    traffic="traced in a.csv",
    requests=280,
    span_s=199.0,
    model=POOL,
    source="given by flags",
    seed=7,
    retries=0,
    notes=("only a part",),
)


def run(name: str, **terms: object) -> Played:
    policy = Policy(teams={team: Team(**terms) for team in ("light", "flood")})
    return play(Side(name, policy), FLOODED, POOL, Chance(1), yardsticks_s=YARDSTICKS, watch=lambda _: None)


RUNS = [run("in force"), run("new.yaml", first_token_s=5)]


def test_the_limits_of_the_model_stand_above_the_table() -> None:
    assert report_lines(SETTING) == [
        "traffic:    280 requests in 3.32 min, traced in a.csv",
        "pool:       1 x 2 slots, 1300 prompt tokens/s, 24.1/39.3 ms a step with 1/2 at once; given by flags",
        (
            "simulated:  the queue that serves, on a fluid model of workers with these speeds; not simulated: limits "
            "and budgets, other cached prompts than there were, loading of models, the network; seed 7"
        ),
        "callers:    wait up to 600 s for a first token, do not come back",
        "note:       only a part",
    ]
    many = structs.replace(SETTING, retries=2, model=EngineModel(slots=5))
    assert "ms a step with 1/2/4/5 at once" in report_lines(many)[1]
    assert report_lines(many)[3].endswith("come back up to 2 times when refused, as official clients do")


def test_each_policy_has_a_column_and_each_team_its_rows() -> None:
    rows = report_rows(RUNS)
    assert {len(row) for row in rows} == {4}
    assert [row[0] for row in rows if row[0]] == ["all", "flood", "light"]
    flood = rows[5:15]
    assert flood[0] == ("flood", "first token promised", "-", "5.00 s")
    assert flood[1] == ("", "requests", "200", "200")
    team = RUNS[1].figures.teams["flood"]
    assert [row[3] for row in flood[2:7]] == [
        f"{100 * team.goodput:.1f} %",
        str(team.refused),
        str(team.refused_late),
        str(team.left),
        f"{team.p50_wait_s:.2f} s",
    ]
    assert flood[9] == ("", "first token in 5 s", *(f"{100 * each.within['flood']:.1f} %" for each in RUNS))
    shares = [float(row[3].split()[0]) for row in rows if row[1] == "share of the work"]
    assert abs(sum(shares) - 100) < 0.2


def test_a_run_that_refuses_nothing_says_so() -> None:
    light = [each for each in FLOODED if each.team == "light"]
    easy = play(
        Side("p", Policy(teams={"light": Team()})),
        light,
        POOL,
        Chance(1),
        yardsticks_s=YARDSTICKS,
        watch=lambda _: None,
    )
    rows = report_rows([easy])
    assert rows[-1][1] == "share of the work"
    assert rows[2:4] == [("", "refused, of them late", "0.0 %"), ("", "told a time to return", "-")]


def test_the_plot_has_a_row_for_each_team_and_policy() -> None:
    head, *rows, axis = plot_lines(RUNS, SETTING.span_s)
    assert "0 to 100 %" in head
    assert [row[:15] for row in rows] == ["flood  in force", "flood  new.yaml", "light  in force", "light  new.yaml"]
    assert {len(row) for row in (*rows, axis)} == {17 + 60}
    assert axis.split() == ["0", "3.32", "min"]


def test_the_data_hold_everything() -> None:
    data = report_data(SETTING, RUNS)
    assert data["seed"] == 7
    assert data["model"]["slots"] == 2
    assert "not simulated" in data["limits"]
    assert [each["name"] for each in data["policies"]] == ["in force", "new.yaml"]
    assert data["policies"][1]["figures"]["teams"]["flood"]["callers"] == 200
    assert len(data["policies"][1]["courses"]["light"]["kept"]) == 60


def test_the_picture_draws_each_team_under_each_policy_three_times() -> None:
    texts = [each.text for each in Tree.fromstring(report_svg(SETTING, RUNS)).iter("{http://www.w3.org/2000/svg}text")]
    assert texts.count("flood, in force") == 3
    assert "280 requests, traced in a.csv" in texts
    waits = run("p", max_wait_s=1000, max_queued=10**6)
    assert max(wait_s or 0.0 for wait_s in waits.courses["flood"].wait_s) > 100
    assert ">400<" in report_svg(SETTING, [waits])
    alone = [each.text for each in Tree.fromstring(report_svg(SETTING, RUNS[:1])).iter()]
    assert alone.count("light") == 3
