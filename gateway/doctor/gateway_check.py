"""Complaints about a running gateway: why it is not ready, a shared store that is away though it is, and engine
processes that died and do not serve.
"""

from collections.abc import Iterator
from typing import Any

from gateway.doctor.complaint import Complaint

TROUBLE = ("stuck", "backing_off", "quarantined")


def gateway_complaints(status: dict[str, Any] | None) -> Iterator[Complaint]:
    """Of the act `status`; nothing where no gateway runs."""
    if status is None:
        return
    for lack in status.get("lacks", ()):
        why = "the gateway is not ready, and /health/ready says so"
        yield Complaint(check="gateway", what=lack["what"], why=why, remedy=lack["remedy"])
    for name in status.get("left_out", ()):
        yield Complaint(
            check="engine",
            what=f"the adapter {name} is left out, since its base model's worker cannot load it",
            why="requests for it are refused; the log of 'corral serve' says what is wrong with it",
            remedy=f"'corral models rm {name}', import a whole file, and start 'corral serve' again",
        )
    yield from _process_complaints(status)
    store = status.get("store")
    if store and store["reason"] and "store_away" not in {lack["name"] for lack in status.get("lacks", ())}:
        yield Complaint(
            check="gateway",
            what=f"the shared store does not answer ({store['reason']})",
            why="this gateway limits as store.on_failure says, alone, and hears of no revocation elsewhere",
            remedy="bring the Redis of store.url back",
        )


def _process_complaints(status: dict[str, Any]) -> Iterator[Complaint]:
    """One for each that is in trouble, or died and never has served since this gateway's supervisor started it."""
    residences = {each["process"]: each for each in status.get("residences", ())}
    for process in status.get("processes", ()):
        residence = residences.get(process["process"], {})
        never_served = process["state"] == "stopped" and not residence.get("load_s", 1)
        if process["deaths"] and (process["state"] in TROUBLE or never_served):
            model = f" ({residence['model']})" if residence else ""
            yield Complaint(
                check="engine",
                what=f"{process['process']}{model} does not serve; it died {sum(process['deaths'].values())} x, "
                f"last: {process['cause']}",
                why="what it was to serve is refused or waits meanwhile",
                remedy="mend what the cause names, or take the model out with 'corral models rm' or engine.models, "
                "and start 'corral serve' again",
            )
