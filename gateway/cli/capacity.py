"""`corral capacity`: what each pool carries at the promise, from what the running gateway has measured."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import convert, structs, to_builtins

from gateway.cli.admin_client import call_act
from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, emit, table
from gateway.homes.home import Home, open_home
from policies.admitting.queue_view import PoolView, QueueView
from policies.capacity import MAX_SLOTS, CapacityAnswer, LoadFigures, ModelFigures, Question, capacity

if TYPE_CHECKING:
    from policies.policy import Policy

HEADS = {"full": "every slot at its slowest", "batching": "batching as measured"}
SECONDS_PER_HOUR = 3600
LEAST_PER_S = 1e-4
"""Where a search ends at its own precision, it has found that nothing can be carried."""


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `capacity`."""
    parser = commands.add_parser(
        "capacity", parents=[common], help="how much the pool carries at the promise, and how many slots to add"
    )
    parser.add_argument("--users", type=int, metavar="N", help="ask for so many users (needs --requests-per-user-hour)")
    parser.add_argument(
        "--requests-per-user-hour", type=float, metavar="R", help="what one user sends in an hour; answers in users too"
    )
    parser.add_argument(
        "--promise", type=float, metavar="SECONDS", help="first token within this time (default: the teams' tightest)"
    )
    parser.add_argument(
        "--quantile", type=float, metavar="Q", default=0.95, help="kept for this share of requests (default: 0.95)"
    )
    parser.add_argument("--model", metavar="NAME", help="only this model's pools")
    parser.set_defaults(run=show_capacity)


def show_capacity(arguments: argparse.Namespace) -> int:
    """Print one block a pool."""
    question = _question(arguments)
    home = open_home(arguments.home)
    if not home.admin_socket.exists():
        raise CommandFault(f"no gateway runs for {home.path}: start it with 'corral serve'", status=FAILED)
    view = convert(call_act(home, "queue", {}), QueueView)
    if question.promise_s is None:
        view = _with_promises(view, _policy(home))
    pools = [each for each in view.pools if arguments.model in (None, each.model)]
    answers = [capacity(pool, view, question) for pool in sorted(pools, key=lambda each: (each.model, each.kind))]
    _check_known(arguments, answers)
    hourly = arguments.requests_per_user_hour
    emit(
        arguments,
        {"users": arguments.users, "requests_per_user_hour": hourly, "pools": to_builtins(answers)},
        "\n\n".join(_block(answer, hourly, arguments.users) for answer in answers),
    )
    return 0


def _question(arguments: argparse.Namespace) -> Question:
    """What is asked. Raises CommandFault for words that make no question."""
    users, hourly = arguments.users, arguments.requests_per_user_hour
    if users is not None and hourly is None:
        raise CommandFault(
            "--users needs --requests-per-user-hour: what one of them sends in an hour, such as 20", status=BAD_INPUT
        )
    if (users is not None and users < 1) or (hourly is not None and not 0 < hourly < float("inf")):
        raise CommandFault("--users and --requests-per-user-hour must be above 0", status=BAD_INPUT)
    asked_per_s = None if users is None else users * hourly / SECONDS_PER_HOUR
    try:
        return Question(arrivals_per_s=asked_per_s, promise_s=arguments.promise, quantile=arguments.quantile)
    except ValueError as fault:
        words = str(fault).replace("promise_s", "--promise").replace("quantile", "--quantile")
        raise CommandFault(words, status=BAD_INPUT) from fault


def _policy(home: Home) -> "Policy":
    """What the teams are promised. Raises CommandFault when it cannot be read."""
    from gateway.configuration.config import ConfigFaults, load_policy

    try:
        return load_policy(home.policy)
    except ConfigFaults as faults:
        raise CommandFault(f"{faults.faults[0]}: correct it, or give --promise", status=BAD_INPUT) from faults


def _with_promises(view: QueueView, policy: "Policy") -> QueueView:
    """Each pool with the tightest promise of the teams that asked lately and may use it; 0 without one.

    What was asked for is no measure: a single caller may ask for a millisecond, and nobody buys hardware for that.
    """
    asked = {each.name for each in view.teams}

    def promised(pool: PoolView) -> PoolView:
        teams = [team for name, team in policy.teams.items() if name in asked and team.may_use(pool.model)]
        promises_s = [team.first_token_s for team in teams if team.first_token_s is not None]
        return structs.replace(pool, promise_s=min(promises_s, default=0.0))

    return structs.replace(view, pools=tuple(map(promised, view.pools)))


def _check_known(arguments: argparse.Namespace, answers: list[CapacityAnswer]) -> None:
    """Raises CommandFault when there is not one figure to show."""
    if not answers:
        whose = f" for model {arguments.model}" if arguments.model else ""
        raise CommandFault(f"nothing measured yet{whose}: send it requests, 'corral chat' will do, then ask again")
    if all(answer.unknown for answer in answers):
        first = answers[0]
        rest = len(answers) - 1
        more = f" (and {rest} more pool{'s' if rest > 1 else ''} like it)" if rest else ""
        raise CommandFault(f"{first.model} {first.kind}: {first.unknown}{more}; ask again after more requests")


def _block(answer: CapacityAnswer, hourly: float | None, users: int | None) -> str:
    name = " ".join(part for part in (answer.model, answer.adapter, answer.kind) if part)
    if answer.unknown:
        return f"{name}: {answer.unknown}"
    held = f"a request holds one {answer.service_s:.3g} s (mean of {answer.samples}, +-{answer.spread:.0%} at 95 %)"
    lines = [f"{name}: {answer.slots} slots; {held}"]
    if answer.promise_s is not None:
        lines.append(
            f"promise: first token within {answer.promise_s:.3g} s for {answer.quantile:.0%};"
            f" {answer.first_token_s:.2g} s of it for a mean prompt"
        )
    rows = [row for row in _rows(answer, hourly, users) if len(row) > 1]
    lines += ["", table(("", *(HEADS[each.model] for each in answer.figures)), rows), ""]
    lines += [f"{HEADS[each.model]}: {each.error}" for each in answer.figures]
    lines += [f"note: {remark}" for remark in answer.remarks]
    return "\n".join(lines)


def _rows(answer: CapacityAnswer, hourly: float | None, users: int | None) -> list[tuple[str, ...]]:
    """One row a figure, one column a model."""

    def row(name: str, cell: Callable[[ModelFigures], str]) -> tuple[str, ...]:
        return (name, *(cell(each) for each in answer.figures))

    rows = [] if answer.promise_s is None else [row("carries at the promise", _carries)]
    if hourly is not None and answer.promise_s is not None:
        rows.append(row(f"  in users, {hourly:g} requests an hour each", lambda each: _users(each, hourly)))
    rows.append(row("line grows without end from", lambda each: f"{each.saturates_per_s:.3g}/s"))
    rows += _load_rows("now", answer.quantile, [each.now for each in answer.figures], answer.slots)
    asked = [each.asked for each in answer.figures if each.asked is not None]
    return rows + (_load_rows(f"{users} users", answer.quantile, asked, answer.slots) if asked else [])


def _load_rows(name: str, quantile: float, loads: list[LoadFigures], slots: int) -> list[tuple[str, ...]]:
    def row(what: str, cell: Callable[[LoadFigures], str]) -> tuple[str, ...]:
        return (f"  {what}", *(cell(each) for each in loads))

    rows = [
        (f"{name}: {loads[0].arrivals_per_s:.3g}/s", *("" for _ in loads)),
        row("utilisation", lambda each: f"{each.utilisation:.0%}"),
        row("have to wait", lambda each: f"{each.wait_share:.2%}"),
        row("mean wait, at most (likely)", _mean_wait),
        row(f"{quantile:.0%} wait at most", lambda each: _time(each.quantile_wait_s)),
    ]
    if loads[0].kept_share is not None:
        rows.append(row("promise kept, nobody refused", lambda each: f"{each.kept_share:.2%}"))
        rows.append(row("slots needed", lambda each: _slots(each, slots)))
    return rows


def _carries(each: ModelFigures) -> str:
    return f"{_rate(each.carries_per_s)}/s ({_rate(each.carries_low_per_s)} to {_rate(each.carries_high_per_s)})"


def _rate(per_s: float | None) -> str:
    """Less than one in some hours is none."""
    return f"{per_s:.3g}" if per_s and per_s >= LEAST_PER_S else "0"


def _users(each: ModelFigures, hourly: float) -> str:
    return f"{int((each.carries_per_s or 0) * SECONDS_PER_HOUR / hourly):,}"


def _mean_wait(load: LoadFigures) -> str:
    likely = "" if load.likely_wait_s is None else f" ({_time(load.likely_wait_s)})"
    return f"{_time(load.mean_wait_s)}{likely}"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "without end"
    return f"{seconds:.2g} s" if seconds < 99.5 else f"{seconds:,.0f} s"


def _slots(load: LoadFigures, slots: int) -> str:
    """How many to add, if any; the rule's figure beside it tells how rough a rule it is."""
    if load.slots_needed is None:
        return f"none up to {MAX_SLOTS:,} keeps it"
    short = load.slots_needed - slots
    return f"{load.slots_needed}, {f'add {short}' if short > 0 else 'enough'} (rule: {load.slots_by_rule})"
