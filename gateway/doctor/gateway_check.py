"""Complaints about a running gateway: why it is not ready, and a shared store that is away though it is."""

from collections.abc import Iterator
from typing import Any

from gateway.doctor.complaint import Complaint


def gateway_complaints(status: dict[str, Any] | None) -> Iterator[Complaint]:
    """Of the act `status`; nothing where no gateway runs."""
    if status is None:
        return
    for lack in status.get("lacks", ()):
        why = "the gateway is not ready, and /health/ready says so"
        yield Complaint(check="gateway", what=lack["what"], why=why, remedy=lack["remedy"])
    store = status.get("store")
    if store and store["reason"] and "store_away" not in {lack["name"] for lack in status.get("lacks", ())}:
        yield Complaint(
            check="gateway",
            what=f"the shared store does not answer ({store['reason']})",
            why="this gateway limits as store.on_failure says, alone, and hears of no revocation elsewhere",
            remedy="bring the Redis of store.url back",
        )
