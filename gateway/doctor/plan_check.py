"""Complaints about models that do not fit this machine under `engine` of config.yaml, or that the store cannot give."""

from collections.abc import Iterator

from engine.plan import PlanFault, make_plan
from engine.settings import EngineSettings
from engine.store.model_store import ModelStore
from engine.store.store_fault import StoreFault
from gateway.doctor.complaint import Complaint
from gateway.homes.home import Home
from gateway.machine.machine_reading import read_machine
from gateway.supervision.stored_models import served_models


def plan_complaints(home: Home, settings: EngineSettings) -> Iterator[Complaint]:
    """What `corral serve` would leave out or refuse to plan, a line for each model. Adapters are planned there."""
    store = ModelStore(home.models)
    entries, unusable = store.scan()
    for fault in unusable:
        why, remedy = "'corral serve' leaves it out", "do as it says, then start 'corral serve' again"
        yield Complaint(check="models", what=str(fault), why=why, remedy=remedy)
    try:
        served = served_models(store, entries, settings)
        make_plan(served.settings, served.models, machine=read_machine(), run_folder=home.run)
    except (PlanFault, StoreFault) as fault:
        for line in str(fault).splitlines():
            why, remedy = "'corral serve' does not start with it", "change engine in config.yaml as it says"
            yield Complaint(check="plan", what=line, why=why, remedy=remedy)
