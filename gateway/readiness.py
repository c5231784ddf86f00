"""Whether a gateway process is ready, and what it lacks if it is not. Decides by facts that it is given.

Rules:

- It is ready while new requests are welcome, can be decided, can be served and can be recorded. One lack is enough.
- A store that is away is none while limits are counted here (`store.on_failure: local`) or not at all.
- The health route, which is open to everybody, says yes or no; what is lacking is told to whoever may administer.
"""

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

Source = Literal["home", "store"]
"""Of keys and revocations: the home's own keys.db, and what gateways of other hosts say through the store."""


class Facts(Struct, frozen=True, kw_only=True):
    """How a process stands.

    `unkept` names the background works that ended though nobody ended them, `keyless` the required issuers without
    keys, `stale` the sources that were not heard for `gateway.stale_keys_s`; `store_away` says why the shared store
    does not answer, where requests are refused for it, and is empty else.
    """

    started: bool
    draining: bool
    recording: bool
    serving: bool
    unkept: tuple[str, ...]
    keyless: tuple[str, ...]
    stale: tuple[Source, ...]
    store_away: str


class Lack(Struct, frozen=True):
    """One reason not to be ready: a stable `name` for programs, what it is, and what to do about it."""

    name: str
    what: str
    remedy: str


STARTING = Lack("starting", "the gateway is starting", "ask again in a moment")
DRAINING = Lack("draining", "the gateway is being stopped or replaced", "ask again in a moment")
UNRECORDED = Lack(
    "audit_unwritable", "the audit log cannot be written", "free space on its disk, or make its folder writable"
)
UNSERVED = Lack(
    "no_target",
    "no model target is ready",
    "wait while models load; else see which target is away, and why in the output of 'corral serve'",
)
STALE = {
    "home": Lack(
        "keys_stale",
        "keys.db was not read for longer than gateway.stale_keys_s: every credential is refused",
        "put keys.db back as it was, or stop Corral and restore it from a backup",
    ),
    "store": Lack(
        "shared_keys_stale",
        "the gateways of other hosts were not heard for longer than gateway.stale_keys_s: every credential is refused",
        "bring the Redis of store.url back, and see keys_not_shared in the output of 'corral serve'",
    ),
}


def lacks(facts: Facts) -> tuple[Lack, ...]:
    """What is lacking; nothing when the process is ready."""
    return tuple(_lacks(facts))


def _lacks(facts: Facts) -> Iterator[Lack]:
    if not facts.started:
        yield STARTING
    if facts.draining:
        yield DRAINING
    if not facts.recording:
        yield UNRECORDED
    if not facts.serving:
        yield UNSERVED
    for issuer in facts.keyless:
        yield Lack(
            "issuer_without_keys",
            f"the required issuer {issuer} has no keys",
            f"see key_set_fault in the output of 'corral serve', or set issuers.{issuer}.required: false",
        )
    if facts.store_away:
        yield Lack(
            "store_away",
            f"the shared store does not answer ({facts.store_away}): whatever is limited is refused",
            "bring the Redis of store.url back, or look at store.on_failure",
        )
    for source in facts.stale:
        yield STALE[source]
    for work in facts.unkept if facts.started else ():
        yield Lack("work_ended", f"a background work ended: {work}", "restart 'corral serve', and report its output")
