"""`corral capacity`: one block a pool, in words and as JSON; each fault one line with its remedy."""

from pathlib import Path

import pytest
from msgspec import structs, to_builtins

from policies.admitting.queue_view import PoolView, QueueView, TargetView
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.queue_views import team_view
from tests.unit.policies import pool_views
from tests.unit.policies.pool_views import FOUR, pool, target

POLICY = """\
networks: {allow: ["127.0.0.1"]}
teams:
  patient: {models: ["*"], first_token_s: 10}
  hurried: {models: ["*"], first_token_s: 3}
  elsewhere: {models: ["other:1b"], first_token_s: 1}
  unpromised: {models: ["*"]}
"""


def view(*pools: PoolView, targets: tuple[TargetView, ...] = FOUR, teams: tuple[str, ...] = ("patient",)) -> QueueView:
    """The pools, asked lately by these teams."""
    return structs.replace(pool_views.view(*pools, targets=targets), teams=tuple(map(team_view, teams)))


ONE = view(pool())


@pytest.fixture(autouse=True)
def promising(corral: Corral) -> None:
    corral.home.policy.write_text(POLICY)


def shown(corral: Corral, queue: QueueView, *words: str) -> list[str]:
    with Gateway(corral.home, {"queue": to_builtins(queue)}):
        status, out, err = corral.run("capacity", *words)
    assert (status, err) == (0, "")
    return out.splitlines()


def fault(corral: Corral, queue: QueueView, *words: str) -> tuple[int, str]:
    with Gateway(corral.home, {"queue": to_builtins(queue)}):
        status, out, err = corral.run("capacity", *words)
    assert (out, err.count("\n")) == ("", 1)
    return status, err


def cells(lines: list[str], name: str) -> list[str]:
    """The figures of both models in the first row of that name."""
    row = next(line for line in lines if line.strip().startswith(name))
    return [cell.strip() for cell in row.strip()[len(name) :].split("  ") if cell.strip()]


def test_a_pool_as_it_is(corral: Corral) -> None:
    lines = shown(corral, ONE)
    assert lines[0] == "m:latest chat: 16 slots; a request holds one 9 s (mean of 800, +-10% at 95 %)"
    assert lines[1] == "promise: first token within 10 s for 95%; 1.1 s of it for a mean prompt"
    assert "every slot at its slowest" in lines[3]
    assert "batching as measured" in lines[3]
    safe, likely = (float(cell.split("/s")[0]) for cell in cells(lines, "carries at the promise"))
    assert 0.8 < safe < likely < 1.4
    assert "now: 0.9/s" in "\n".join(lines)
    assert [cell.split("%")[0].isdigit() for cell in cells(lines, "utilisation")] == [True, True]
    assert all("enough" in cell for cell in cells(lines, "slots needed"))
    assert lines[-2].startswith("every slot at its slowest: Erlang C")
    assert lines[-1].startswith("batching as measured: state-dependent M/M/1/K")


def test_the_example_in_the_documentation_is_what_it_prints(corral: Corral) -> None:
    page = (Path(__file__).parents[4] / "docs" / "capacity.md").read_text()
    lines = shown(corral, ONE, "--users", "400", "--requests-per-user-hour", "18")
    example = "\n".join(f"    {line}".rstrip() for line in lines[: lines.index("", 3)])
    assert example in page


def test_a_load_that_is_asked_for(corral: Corral) -> None:
    lines = shown(corral, ONE, "--users", "400", "--requests-per-user-hour", "18")
    users = [int(cell.replace(",", "")) for cell in cells(lines, "in users, 18 requests an hour each")]
    assert 150 < users[0] < users[1] < 300
    asked = lines[next(number for number, line in enumerate(lines) if line.startswith("400 users: 2/s")) :]
    assert all(cell.strip() == "without end" for cell in cells(asked, "mean wait, at most (likely)"))
    assert all(" add 1" in cell for cell in cells(asked, "slots needed"))
    assert [cell.strip() for cell in cells(asked, "promise kept, nobody refused")] == ["0.00%", "0.00%"]


def test_without_a_promise_there_is_nothing_to_keep(corral: Corral) -> None:
    lines = shown(corral, view(pool(), teams=("unpromised",)), "--requests-per-user-hour", "18")
    text = "\n".join(lines)
    assert "carries at the promise" not in text
    assert "slots needed" not in text
    assert "in users" not in text
    assert lines[-1].startswith("note: no promise to keep: give one")


@pytest.mark.parametrize(
    ("teams", "promise"),
    [
        (("patient", "unpromised"), "10 s"),
        (("patient", "hurried"), "3 s"),
        (("patient", "elsewhere"), "10 s"),
        (("patient", "gone"), "10 s"),
    ],
)
def test_the_promise_is_the_tightest_of_teams_that_asked_for_the_model(
    corral: Corral, teams: tuple[str, ...], promise: str
) -> None:
    """Not of a team that did not ask or may not, and not what a single caller asked for (`promise_s` of the pool)."""
    lines = shown(corral, view(pool(promise_s=0.001), teams=teams))
    assert lines[1].startswith(f"promise: first token within {promise} for 95%; ")


def test_a_policy_that_cannot_be_read_leaves_the_promise_to_the_caller(corral: Corral) -> None:
    corral.home.policy.write_text("teams: []\n")
    status, words = fault(corral, ONE)
    assert (status, words.endswith(": correct it, or give --promise\n")) == (2, True)
    assert "within 4 s for 95%" in shown(corral, ONE, "--promise", "4")[1]


def test_a_rate_at_the_search_s_own_precision_is_none(corral: Corral) -> None:
    bursts = view(pool(arrival_cv2=14.0, slots=1, targets=("t0",)))
    assert cells(shown(corral, bursts), "carries at the promise")[0].startswith("0/s (0 to ")


def test_a_promise_no_slot_keeps(corral: Corral) -> None:
    lines = shown(corral, ONE, "--promise", "0.5", "--quantile", "0.9")
    assert "within 0.5 s for 90%" in lines[1]
    assert [cell.strip() for cell in cells(lines, "slots needed")] == ["none up to 20,000 keeps it"] * 2


def test_several_pools_have_a_block_each(corral: Corral) -> None:
    queue = view(
        pool(model="b:latest", slots=4, adapter="law"),
        pool(model="a:latest", slots=4, samples=3),
        targets=(target(0), target(1)),
    )
    blocks = "\n".join(shown(corral, queue)).split("\n\n")
    assert (
        blocks[0] == "a:latest chat: too few measured: 3 requests, 31 are needed, their times differ so much (cv2 2.0)"
    )
    assert blocks[1].startswith("b:latest law chat: 4 slots")
    assert "\n".join(shown(corral, queue, "--model", "b:latest")).startswith("b:latest law chat")


def test_the_same_as_json(corral: Corral) -> None:
    with Gateway(corral.home, {"queue": to_builtins(ONE)}):
        found = corral.json("capacity", "--users", "400", "--requests-per-user-hour", "18")
    assert (found["users"], found["requests_per_user_hour"]) == (400, 18)
    (answer,) = found["pools"]
    assert [each["model"] for each in answer["figures"]] == ["full", "batching"]
    assert answer["figures"][0]["asked"]["arrivals_per_s"] == pytest.approx(2)
    assert answer["figures"][0]["asked"]["mean_wait_s"] is None


def test_nothing_to_compute_with(corral: Corral) -> None:
    status, words = fault(corral, view())
    assert (status, "nothing measured yet: send it requests" in words) == (1, True)
    assert "nothing measured yet for model x: " in fault(corral, ONE, "--model", "x")[1]
    few = view(pool(samples=3), pool(kind="embedding", samples=0))
    status, words = fault(corral, few)
    assert status == 1
    assert "m:latest chat: too few measured: 3 requests" in words
    assert "(and 1 more pool like it); ask again after more requests" in words
    assert "more pool" not in fault(corral, view(pool(samples=3)))[1]


def test_without_a_gateway(corral: Corral) -> None:
    status, _, err = corral.run("capacity")
    assert (status, err.startswith("corral: no gateway runs for ")) == (1, True)
    assert "corral serve" in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--users", "5"), "--users needs --requests-per-user-hour"),
        (("--users", "0", "--requests-per-user-hour", "1"), "must be above 0"),
        (("--requests-per-user-hour", "nan"), "must be above 0"),
        (("--requests-per-user-hour", "-2"), "must be above 0"),
        (("--promise", "0"), "--promise must be above 0"),
        (("--quantile", "1"), "--quantile must be at least 0.5 and below 1"),
        (("--users", "many"), "invalid int value"),
    ],
)
def test_questions_that_are_none(corral: Corral, words: tuple[str, ...], says: str) -> None:
    status, out, err = corral.run("capacity", *words)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert says in err
