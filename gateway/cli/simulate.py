"""`corral simulate`: a trace, or last week's own traffic, against a policy that is not yet live.

The queue is the one that serves; what it is simulated on, and what is left out, stands in the output.
"""

import argparse
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.output import BAD_INPUT, CommandFault, emit, table

if TYPE_CHECKING:
    from gateway.cli.progress import Progress
    from gateway.cli.simulate_traffic import Traffic
    from gateway.simulating.comparison import Played, Side
    from gateway.simulating.comparison_report import Setting
    from gateway.simulating.engine_model import EngineModel

MOST_REQUESTS = 100_000
"""A few minutes of work."""
MAX_SLOTS = 1024
MAX_RETRIES = 10


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Declare `simulate`."""
    parser = commands.add_parser("simulate", parents=[common], help="play traffic against a policy not yet live")
    _add_traffic(parser.add_argument_group("traffic (--trace and --team, or --from-audit)"))
    _add_policies(parser.add_argument_group("policies"))
    _add_pool(parser.add_argument_group("pool, where nothing measured it, or to try another"))
    parser.add_argument("--retries", type=_up_to(MAX_RETRIES, 0), default=0, help="of a refused caller (default 0)")
    parser.add_argument("--seed", type=int, default=1, help="of all chance in it (default 1)")
    parser.add_argument("--svg", metavar="FILE", type=_picture, help="write the plot as a picture, too")
    parser.set_defaults(run=simulate)


def simulate(arguments: argparse.Namespace) -> int:
    """Play the traffic under each policy; print what became of each team."""
    from gateway.cli.progress import Progress
    from gateway.cli.simulate_pool import pool_model
    from gateway.cli.simulate_traffic import read_traffic
    from gateway.simulating.comparison_report import Setting

    progress = Progress("corral simulate")
    sides = _sides(arguments)
    traffic = read_traffic(arguments, sides[-1].policy, progress)
    model, source = pool_model(arguments, traffic, progress)
    runs, unplayed = _play(arguments, sides, traffic, model, progress)
    setting = Setting(
        traffic=traffic.words,
        requests=len(traffic.arrivals),
        span_s=traffic.arrivals[-1].at_s,
        model=model,
        source=source,
        seed=arguments.seed,
        retries=arguments.retries,
        notes=(*traffic.notes, *unplayed),
    )
    return _report(arguments, setting, runs)


def _add_traffic(group: Any) -> None:
    group.add_argument("--trace", metavar="FILE", type=Path, action="append", default=[], help="a CSV; repeatable")
    group.add_argument("--team", metavar="NAME=FILE", action="append", default=[], help="a trace all of one team")
    group.add_argument("--from-audit", metavar="FROM..TO", help="the home's own log, such as 7d..now")
    group.add_argument("--model", default="", help="of which model (default: the busiest)")
    group.add_argument("--speed", metavar="X", type=_positive, default=1.0, help="let it come X times as fast")
    group.add_argument(
        "--most",
        metavar="N",
        type=_up_to(2_000_000, 2),
        default=MOST_REQUESTS,
        help=f"play the busiest N requests in a row of more (default {MOST_REQUESTS})",
    )


def _add_policies(group: Any) -> None:
    group.add_argument("--policy", metavar="FILE", type=Path, help="default: policy.yaml in the home")
    group.add_argument("--against", metavar="FILE", type=Path, help="compare with it (default: the home's)")


def _add_pool(group: Any) -> None:
    group.add_argument("--prefill-tokens-per-s", metavar="N", type=_positive, help="prompt tokens a second")
    group.add_argument(
        "--decode-tokens-per-s",
        metavar="N[,N...]",
        type=_speeds,
        help="output tokens a second of each request while 1, 2, ... are answered at once",
    )
    group.add_argument("--slots", metavar="N", type=_up_to(MAX_SLOTS, 1), help="requests at once of each worker")
    group.add_argument("--workers", metavar="N", type=_up_to(MAX_SLOTS, 1), help="workers of the model")


def _sides(arguments: argparse.Namespace) -> "list[Side]":
    """The policies to play under, the new one last. Raises CommandFault, NoHome."""
    from gateway.homes.home import NoHome, open_home

    if arguments.policy is None or arguments.against is not None:
        policy = arguments.policy or open_home(arguments.home).policy
        paths = [path for path in (arguments.against, policy) if path is not None]
        alike = len({path.name for path in paths}) < len(paths)
        return [_side(path, str(path) if alike else path.name) for path in paths]
    new = _side(arguments.policy, arguments.policy.name)
    try:
        in_force = open_home(arguments.home).policy
    except NoHome:
        return [new]
    return [new] if in_force.resolve() == arguments.policy.resolve() else [_side(in_force, "in force"), new]


def _side(path: Path, name: str) -> "Side":
    from gateway.cli.policy import read_policy
    from gateway.configuration.config import ConfigFaults
    from gateway.simulating.comparison import Side

    try:
        return Side(name, read_policy(path)[1])
    except ConfigFaults as faults:
        first, *more = faults.faults
        rest = f" (and {len(more)} more; see 'corral policy check {path}')" if more else ""
        raise CommandFault(f"{first}{rest}", status=BAD_INPUT) from None


def _play(
    arguments: argparse.Namespace, sides: "list[Side]", traffic: "Traffic", model: "EngineModel", progress: "Progress"
) -> "tuple[list[Played], tuple[str, ...]]":
    """The runs, and what to say of the policy in force when it has no terms for this traffic. Raises CommandFault."""
    from gateway.simulating.comparison import Chance, play, yardsticks_s
    from gateway.simulating.team_terms import UnknownTerms

    chance, end_s = Chance(arguments.seed, arguments.retries), traffic.arrivals[-1].at_s
    runs, unplayed = [], []
    for side in sides:

        def watch(at_s: float, name: str = side.name) -> None:
            progress.tell(lambda: f"{name}: {100 * min(at_s / end_s if end_s else 1.0, 1.0):.0f} % of the time played")

        try:
            yardsticks = yardsticks_s(sides[-1].policy)
            runs.append(play(side, traffic.arrivals, model, chance, yardsticks_s=yardsticks, watch=watch))
        except UnknownTerms as fault:
            if side is sides[-1] or arguments.against is not None:
                raise CommandFault(str(fault), status=BAD_INPUT) from None
            unplayed.append(f"not compared with the policy in force: {fault}")
    return runs, tuple(unplayed)


def _report(arguments: argparse.Namespace, setting: "Setting", runs: "list[Played]") -> int:
    from gateway.simulating.comparison_report import plot_lines, report_data, report_lines, report_rows, report_svg

    head = ("team", "", *(each.name for each in runs))
    lines = [*report_lines(setting), "", table(head, report_rows(runs)), "", *plot_lines(runs, setting.span_s)]
    emit(arguments, report_data(setting, runs), "\n".join(lines))
    if arguments.svg is not None:
        _write(arguments.svg, report_svg(setting, runs))
    return 0


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise CommandFault(
            f"{path}: cannot be written: {fault.strerror}: name another place", status=BAD_INPUT
        ) from None


def _picture(words: str) -> Path:
    """Where a picture may be written; looked at before the work, not after it."""
    path = Path(words)
    if not path.parent.is_dir() or path.is_dir():
        raise argparse.ArgumentTypeError(f"{words!r} is no file in a folder that there is")
    return path


def _positive(words: str) -> float:
    """A finite number above 0 that is still one when turned over."""
    try:
        number = float(words)
    except ValueError:
        number = math.nan
    if not 1e-6 <= number <= 1e9:
        raise argparse.ArgumentTypeError(f"{words[:40]!r} is no number from 0.000001 to 1000000000")
    return number


def _speeds(words: str) -> tuple[float, ...]:
    speeds = tuple(_positive(word) for word in words.split(","))
    if len(speeds) > MAX_SLOTS or any(later > earlier for earlier, later in pairwise(speeds)):
        raise argparse.ArgumentTypeError("give them from one at once on; more at once are never faster")
    return speeds


def _up_to(most: int, least: int) -> Callable[[str], int]:
    def read(words: str) -> int:
        if not (words.isascii() and words.isdigit() and len(words) < 12 and least <= int(words) <= most):
            raise argparse.ArgumentTypeError(f"{words[:40]!r} is no whole number from {least} to {most}")
        return int(words)

    return read
