"""How fast the simulated pool works: as the flags say, as the running gateway measured, or as the log's times show."""

import argparse
import time

from msgspec import ValidationError, convert, structs

from gateway.cli.admin_client import call_act
from gateway.cli.output import BAD_INPUT, CommandFault
from gateway.cli.progress import Progress
from gateway.cli.simulate_traffic import Traffic, busiest_model, log_of
from gateway.homes.home import Home, NoHome, open_home
from gateway.simulating.engine_model import EngineModel, measured_model
from gateway.simulating.logged_rates import NoRates, model_from_log
from gateway.simulating.logged_traffic import LoggedRequest, NoTraffic
from gateway.simulating.time_window import Window
from policies.admitting.queue_view import QueueView
from policies.pool_model import targets_of

WEEK_S = 7 * 86_400.0
FEWEST_SAMPLES = 5
FLAGS = ("prefill_tokens_per_s", "decode_tokens_per_s", "slots", "workers")

Measured = tuple[EngineModel, str]


def pool_model(arguments: argparse.Namespace, traffic: Traffic, progress: Progress) -> Measured:
    """The pool, and in a few words who measured it. Raises CommandFault when nobody did."""
    given = [name for name in FLAGS if getattr(arguments, name) is not None]
    if len(given) == len(FLAGS):
        return _with_flags(EngineModel(), arguments), "given by flags"
    measured, source = _measured(arguments, traffic, progress)
    if not given:
        return measured, source
    named = ", ".join(f"--{name.replace('_', '-')}" for name in given)
    return _with_flags(measured, arguments), f"{source}, but as given by {named}"


def _with_flags(model: EngineModel, arguments: argparse.Namespace) -> EngineModel:
    slots, speeds = arguments.slots or model.slots, arguments.decode_tokens_per_s or ()
    steps_s = [1 / speed for speed in speeds]
    steps_s += steps_s[-1:] * (slots - len(steps_s))  # as many more at once are as fast as the last
    return structs.replace(
        model,
        prefill_tokens_per_s=arguments.prefill_tokens_per_s or model.prefill_tokens_per_s,
        decode_s=(0.0, *steps_s) if steps_s else model.decode_s,
        slots=slots,
        workers=arguments.workers or model.workers,
    )


def _measured(arguments: argparse.Namespace, traffic: Traffic, progress: Progress) -> Measured:
    try:
        home = open_home(arguments.home)
        by_queue = _by_running_gateway(home, arguments.model)
        return by_queue or _by_log(home, arguments.model, traffic.logged, progress)
    except (NoHome, NoRates, NoTraffic, OSError) as fault:
        raise CommandFault(
            f"nobody measured the pool's speed ({fault}): give --prefill-tokens-per-s, --decode-tokens-per-s, "
            "--slots and --workers",
            status=BAD_INPUT,
        ) from None


def _by_running_gateway(home: Home, model: str) -> Measured | None:
    """What its queue has measured; None when none runs, or it has not served enough to tell."""
    if not home.admin_socket.exists():
        return None
    try:
        view = convert(call_act(home, "queue", {}), QueueView)
    except (CommandFault, ValidationError):  # gone by now, or of another version
        return None
    pools = [each for each in view.pools if each.kind != "embedding" and each.model == (model or each.model)]
    pool = max(pools, key=lambda each: each.samples, default=None)
    targets = targets_of(pool, view) if pool is not None else ()
    if pool is None or pool.samples < FEWEST_SAMPLES or not targets:
        return None
    return measured_model(pool, targets), f"measured by the running gateway on {pool.samples} requests to {pool.model}"


def _by_log(home: Home, model: str, logged: tuple[LoggedRequest, ...], progress: Progress) -> Measured:
    """What the times of the played requests show; for a trace, those that the home logged in the last week."""
    if logged:
        return model_from_log(list(logged)), "estimated from these requests' logged times"
    now_s = time.time()
    found = log_of(home, Window(now_s - WEEK_S, now_s), progress)
    name = busiest_model(found, model)
    return model_from_log(found.of_model(name)), f"estimated from the last 7 days' logged times of {name}"
