"""What the queue is told of a request, of a target, and of the people's bands. Plain values, no state."""

from typing import Literal

from msgspec import Struct

from policies.call import CallKind

PoolKey = tuple[str, str, CallKind]
"""Model, adapter ("" for none), kind of call."""
NO_GUARANTEE = "\0"
"""No name of a band."""
Standby = Literal["", "absent", "loading", "failed"]


class Bounds(Struct, frozen=True):
    """How many may wait: over all teams, and of the ticket's own team."""

    total: int
    team: int


class BandTerms(Struct, frozen=True):
    """A band as the queue uses it. `share` of the slots' time is its own whenever it has work, 0 to 1.

    With `lends` False its share of each pool's slots is kept free for it while it has none running there.
    """

    name: str
    share: float
    lends: bool = True


class Ticket(Struct, frozen=True, kw_only=True):
    """One request in the queue. `id` is unique over all gateways that share a pool; `owner` names its gateway.

    `weight` and `band` are the team's as the policy has them now, or a lower band where the caller asked for it;
    `own_band` is the team's in any case ("": `band`).
    `promise_s` is the time to first token promised, counted from `arrived_s`; None promises only that a wait longer
    than `expires_s` (a moment of the queue's clock; None: never) is refused at once. `enforced` False records
    instead of refusing. `output_cap` is the longest answer, `traits` what kind of answer it will be ("tools",
    "json", ""). `blocks` are hashes of the prompt's 64-token blocks, each over all blocks before it. `identity`
    knows the same request of the same key again (b"": never booked). `alone`: nothing else may run on its target.
    `tenant`: a target that has run another one's has to be renewed for it ("" is one too).
    """

    id: int
    model: str
    kind: CallKind
    team: str
    arrived_s: float
    owner: str = ""
    adapter: str = ""
    weight: float = 1.0
    band: str = ""
    own_band: str = ""
    expires_s: float | None = None
    promise_s: float | None = None
    enforced: bool = True
    prompt_tokens: int = 0
    output_cap: int = 4096
    traits: str = ""
    blocks: tuple[bytes, ...] = ()
    identity: bytes = b""
    alone: bool = False
    tenant: str = ""

    @property
    def pool(self) -> PoolKey:
        """The queue it waits in."""
        return (self.model, self.adapter, self.kind)

    @property
    def guaranteed_band(self) -> str:
        """The band whose guarantee it shares: its team's own, `NO_GUARANTEE` where it asked for a lower one."""
        return self.band if self.own_band in ("", self.band) else NO_GUARANTEE


class Served(Struct, frozen=True):
    """What a request has really used, by the engine's own count. `load_s`: of it the time the model was loaded in."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    load_s: float = 0.0


class TargetFacts(Struct, frozen=True, kw_only=True):
    """One target as its engine announces it: what it serves, and how much of that at once.

    `slot_weight` is the cores or devices that one slot holds; slot-seconds count that much towards a team's share.
    `slot_tokens` bounds the prefix that one slot can remember. `swaps`: serving another pool than the last one may
    cost it a load.
    `standby` tells of one that is not ready: "absent", it is loaded once somebody waits for it; "loading"; "failed",
    nobody need wait; "" where nothing is known. `load_s` is how long its last load took, 0 before the first.
    """

    id: str
    pools: tuple[PoolKey, ...]
    slots: int
    slot_weight: float = 1.0
    slot_tokens: int = 4096
    swaps: bool = False
    standby: Standby = ""
    load_s: float = 0.0


class Step(Struct, frozen=True, kw_only=True):
    """One step of a target: its seconds, the rows of each kind in it, and the slots busy after it."""

    step_s: float
    decode_rows: int
    prefill_rows: int
    busy_slots: int


RefusalReason = Literal["queue_full", "team_queue_full", "deadline_unreachable", "expired_in_queue", "no_capacity"]
