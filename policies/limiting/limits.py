"""What is limited and whose it is: from a principal's team to claims on a store, and what a store is.

Five dimensions, each with `policies.policy.Limits` of its own: the client's address, the credential ("key"),
its team, the model, and all callers together. Step 6 takes the request rates of all but the model and keeps
them whatever a later step says. Step 10 reserves the rest in one call, all claims or none: the model's request
rate, and of every dimension prompt and output tokens a minute, concurrent requests and the budgets. The
request is settled with what it used, however it ended.

How one claim is decided, and which refusal is told when several fail, stands in `limit_decision.py`; both
stores follow it. A store that cannot be asked refuses (`PolicyUnavailable`), it never allows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv6Network
from typing import Literal, Protocol

from msgspec import Struct

from policies.addresses.networks import Address
from policies.credentials.principal import Principal
from policies.limiting.limit_grant import LimitGrant, effective
from policies.limiting.rate_limit import Rate
from policies.policy import Limits, Policy, Team
from policies.standing import LimitUse, Standing, Unit, Whose

Period = Literal["day", "month"]

MINUTES_A_DAY = 1440
"""A burst larger than a day's worth counts as a day's worth: no bucket remembers anything for longer."""
V6_CLIENT_PREFIX = 64
"""One host commands all addresses of its /64 (RFC 4862), so they are one client."""


class RateClaim(Struct, frozen=True):
    """`cost` units against the rate under `name`.

    `requests` are counted by GCRA on `rate`, always one at a time. `prompt_tokens` and `output_tokens` are counted in a
    sliding minute of at most `rate.per_minute` (`rate.burst` equals it). `subject` is the caller's word for whose
    limit it is, `whose` ours. A `report` claim never refuses: one that has no room is told in `would_refuse` and not
    charged.
    """

    name: str
    rate: Rate
    cost: int = 1
    subject: str = "this key"
    unit: Unit = "requests"
    report: bool = False
    whose: Whose = "key"

    @property
    def reason(self) -> str:
        """The stable code for the log."""
        return f"rate_limited_{self.whose}" if self.unit == "requests" else f"{self.unit}_limited_{self.whose}"

    @property
    def limit_text(self) -> str:
        """The limit as the caller is told it."""
        return f"{_counted(self.rate.per_minute, self.unit.replace('_', ' '))} a minute for {self.subject}"


class ConcurrencyClaim(Struct, frozen=True):
    """One of at most `limit` requests at once under `name`, held by the reservation's id until it is settled."""

    name: str
    limit: int
    subject: str = "this key"
    report: bool = False
    whose: Whose = "key"

    @property
    def reason(self) -> str:
        """The stable code for the log."""
        return f"concurrency_limited_{self.whose}"

    @property
    def limit_text(self) -> str:
        """The limit as the caller is told it."""
        return f"{_counted(self.limit, 'concurrent requests')} for {self.subject}"


class BudgetClaim(Struct, frozen=True):
    """`cost` tokens, prompt and output together, of the `limit` for this calendar `period` (UTC) under `name`."""

    name: str
    limit: int
    cost: int
    period: Period
    subject: str = "this key"
    report: bool = False
    whose: Whose = "key"

    @property
    def reason(self) -> str:
        """The stable code for the log."""
        return f"{self.period}_budget_used_up_{self.whose}"

    @property
    def limit_text(self) -> str:
        """The limit as the caller is told it."""
        return f"{_counted(self.limit, 'tokens')} a {self.period} for {self.subject}"


Claim = RateClaim | ConcurrencyClaim | BudgetClaim


class Claims(Struct, frozen=True):
    """What step 10 reserves. No two claims have one name."""

    rates: tuple[RateClaim, ...] = ()
    concurrency: tuple[ConcurrencyClaim, ...] = ()
    budgets: tuple[BudgetClaim, ...] = ()


class Taken(Struct, frozen=True):
    """Step 6 went well. `would_refuse` holds the reasons of `report` claims without room."""

    would_refuse: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()


class Used(Struct, frozen=True):
    """What a request has really used, by the engine's own count; nothing when it never ran."""

    prompt_tokens: int = 0
    output_tokens: int = 0


class Reservation(Struct, frozen=True):
    """What a request holds until it is settled.

    `id` is unique over all gateways and restarts. `claims` are those that were charged: `report` claims without room
    are missing, their reasons stand in `would_refuse`. `second` is the second of the store's rate clock in which
    tokens were charged, `unix_s` the wall clock's by which the budgets' periods were chosen.
    """

    id: str
    claims: Claims
    second: int = 0
    unix_s: int = 0
    would_refuse: tuple[str, ...] = ()
    standings: tuple[Standing, ...] = ()


class Store(Protocol):
    """Where limits are counted. It has clocks of its own. Both forms (memory, shared) answer alike.

    Every method raises PolicyUnavailable when the store cannot be asked; nothing is then charged, or what was is
    given back.
    """

    async def take(self, claims: tuple[RateClaim, ...]) -> Taken:
        """Charge all rates, for good. Raises RateLimited or BeyondLimit, with nothing charged, when one has no room."""
        ...

    async def reserve(self, claims: Claims) -> Reservation:
        """Charge and hold all claims, or none and raise RateLimited, QuotaExceeded or BeyondLimit.

        Budgets are durable when this returns. Cancelled: nothing is held.
        """
        ...

    async def settle(self, reservation: Reservation, used: Used) -> None:
        """End what was held, give back tokens not used, charge those used beyond; again is the same as once.

        Requests stay charged. Never raises for a fault of the store: what could not be settled stays charged.
        Carried out even when the caller is cancelled meanwhile.
        """
        ...

    async def use(self, claims: Claims) -> tuple[LimitUse, ...]:
        """How much of each is in use now, in the order rates, concurrency, budgets; nothing is charged."""
        ...

    async def close(self) -> None:
        """Let go of what the store holds open."""
        ...


class Work(Struct, frozen=True):
    """What a request will cost at most: `model` by the catalogue's name, its prompt, its longest answer.

    `parent` is the model that an adapter runs on; its limits bound the adapter's requests as well.
    """

    model: str
    prompt_tokens: int
    max_output_tokens: int
    parent: str = ""


class Dimension(Struct, frozen=True):
    """One whose usage is bounded: `whom` is its unique name, `subject` the words for the caller."""

    whose: Whose
    whom: str
    subject: str
    limits: Limits


def request_claims(principal: Principal, team: Team, policy: Policy, client: Address) -> tuple[RateClaim, ...]:
    """Step 6: the request rates of the address, the key, the team and of all."""
    found = dimensions(principal, team, policy, client)
    return tuple(claim for each in found for claim in _request_rate(each))


def work_claims(principal: Principal, team: Team, policy: Policy, client: Address, work: Work) -> Claims:
    """Step 10: everything else, with the model's request rate, and of an adapter its base model's too."""
    models = tuple(_of_model(name, policy) for name in (work.model, work.parent) if name)
    found = (*dimensions(principal, team, policy, client), *models)
    requests = (claim for each in models for claim in _request_rate(each))
    rates = (*requests, *(claim for each in found for claim in _token_rates(each, work)))
    concurrency = tuple(claim for each in found for claim in _concurrency(each))
    return Claims(rates, concurrency, tuple(claim for each in found for claim in _budgets(each, work)))


def longest_answer(team: Team, policy: Policy, model: str, parent: str = "") -> int:
    """The output tokens one answer may have: the team's cap, or less where a minute's limit could never hold it."""
    models = tuple(policy.limits_of_model(name) for name in (model, parent) if name)
    bounds = (policy.address_limits, team.key_limits, team.limits, policy.limits, *models)
    caps = [each.output_tokens_per_minute for each in bounds if each.mode == "enforce"]
    return min([team.max_output_tokens, *(cap for cap in caps if cap is not None)])


def effective_team(team: Team, grants: Iterable[LimitGrant], now_s: float) -> Team:
    """`team` as its temporary exceptions widen it at `now_s` (Unix seconds), for all of it and for each key."""
    exceptions = tuple(grants)
    limits, key_limits = effective(team.limits, exceptions, now_s), effective(team.key_limits, exceptions, now_s)
    if limits is team.limits and key_limits is team.key_limits:
        return team
    return replace(team, limits=limits, key_limits=key_limits)


def claims_of(dimension: Dimension) -> Claims:
    """Everything that bounds `dimension`, with nothing asked for: to look at, never to reserve."""
    nothing = Work("", 0, 0)
    rates = (*_request_rate(dimension), *_token_rates(dimension, nothing))
    return Claims(rates, tuple(_concurrency(dimension)), tuple(_budgets(dimension, nothing)))


def _of_model(name: str, policy: Policy) -> Dimension:
    return Dimension("model", f"model:{name}", f"model {name}", policy.limits_of_model(name))


def dimensions(principal: Principal, team: Team, policy: Policy, client: Address) -> tuple[Dimension, ...]:
    """The four that are known before the body is read."""
    return (
        Dimension("address", f"address:{_client_name(client)}", "your address", policy.address_limits),
        Dimension("key", principal.limit_name, _SUBJECTS[principal.kind], team.key_limits),
        Dimension("team", f"team:{principal.team}", f"team {principal.team}", team.limits),
        Dimension("all", "all", "all callers", policy.limits),
    )


_SUBJECTS = {
    "api_key": "this key",
    "ssh_key": "this key",
    "jwt": "this login",
    "certificate": "this login",
    "session": "this login",
}


def _counted(number: int, units: str) -> str:
    """`number` of what `units` names in the plural."""
    return f"{number} {units.removesuffix('s') if number == 1 else units}"


def _client_name(client: Address) -> str:
    """IPv4 as it is; IPv6 by its /64."""
    return str(client) if client.version == 4 else str(IPv6Network((int(client), V6_CLIENT_PREFIX), strict=False))


def _request_rate(dimension: Dimension) -> Iterator[RateClaim]:
    limits = dimension.limits
    if limits.requests_per_minute is not None:
        burst = min(limits.burst_requests, limits.requests_per_minute * MINUTES_A_DAY)
        yield _rate_claim(dimension, "requests", Rate(limits.requests_per_minute, burst), 1)


def _token_rates(dimension: Dimension, work: Work) -> Iterator[RateClaim]:
    prompt, output = dimension.limits.prompt_tokens_per_minute, dimension.limits.output_tokens_per_minute
    if prompt is not None:
        yield _rate_claim(dimension, "prompt_tokens", Rate(prompt, prompt), work.prompt_tokens)
    if output is not None:
        yield _rate_claim(dimension, "output_tokens", Rate(output, output), work.max_output_tokens)


def _rate_claim(dimension: Dimension, unit: Unit, rate: Rate, cost: int) -> RateClaim:
    name, report = f"{unit}:{dimension.whom}", dimension.limits.mode == "report"
    return RateClaim(name, rate, cost, dimension.subject, unit, report, dimension.whose)


def _concurrency(dimension: Dimension) -> Iterator[ConcurrencyClaim]:
    limit, report = dimension.limits.concurrent_requests, dimension.limits.mode == "report"
    if limit is not None:
        yield ConcurrencyClaim(f"concurrent:{dimension.whom}", limit, dimension.subject, report, dimension.whose)


def _budgets(dimension: Dimension, work: Work) -> Iterator[BudgetClaim]:
    limits, cost = dimension.limits, work.prompt_tokens + work.max_output_tokens
    budgets: tuple[tuple[Period, int | None], ...] = (
        ("day", limits.tokens_per_day),
        ("month", limits.tokens_per_month),
    )
    for period, limit in budgets:
        if limit is not None:
            name, report = f"{period}:{dimension.whom}", limits.mode == "report"
            yield BudgetClaim(name, limit, cost, period, dimension.subject, report, dimension.whose)
