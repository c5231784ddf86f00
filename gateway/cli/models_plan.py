"""`corral models show NAME --plan`: how the model would run here, and why."""

import argparse

from engine.plan import PlanFault, make_plan
from engine.plan_explanation import explain_model
from engine.store.model_store import ModelStore
from engine.store.model_store import StoredModel as InStore
from gateway.cli.output import BAD_INPUT, CommandFault, emit
from gateway.configuration.config import ConfigFaults, load_config
from gateway.homes.home import Home
from gateway.machine.machine_reading import read_machine
from gateway.supervision.stored_models import served_models


def show_plan(arguments: argparse.Namespace, home: Home, store: ModelStore, entry: InStore) -> int:
    """Print the planner's lines for one model, planned with all others that are served. Raises CommandFault."""
    name, machine = entry.name.display, read_machine()
    if entry.base:
        raise CommandFault(
            f"{name} is an adapter and runs on its base model's worker: see 'corral models show {entry.base} --plan'",
            status=BAD_INPUT,
        )
    try:
        entries, _ = store.scan()
        served = served_models(store, entries, load_config(home.config).engine, also=name)
        plan = make_plan(served.settings, served.models, machine=machine, run_folder=home.run)
    except (ConfigFaults, PlanFault) as fault:
        raise CommandFault(str(fault).splitlines()[0], status=BAD_INPUT) from None
    model = next(each for each in served.models if each.card.name == name)
    lines = explain_model(model, served.settings, machine, plan)
    emit(arguments, {"name": name, "plan": list(lines)}, "\n".join(lines))
    return 0
