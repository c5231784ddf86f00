"""What would happen to this request? Runs the steps of the flow with a made-up caller and says what each finds.

The steps are the functions that `gateway.request` runs, in its order and with its numbers, so an explanation
cannot differ from the decision. What depends on the moment is told and not asked: how full a bucket or the
queue is, whether a secret is right, what a body holds. A proven caller is assumed, unless a token is given.
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from gateway.dialects.route import Route
from gateway.http.edge import CleanTarget, check_edge
from gateway.offline_token import CannotTell
from gateway.request_audit import ERROR_EVENTS
from gateway.routes import Found, RouteTable
from policies.access import ListenerName
from policies.addresses.client_address import client_address
from policies.addresses.networks import Address
from policies.authorization import Grant, authorize_model, authorize_scope, team_of
from policies.call import ModelCard
from policies.credentials.principal import Principal
from policies.errors import Refused
from policies.limiting.limits import Claim, Claims, RateClaim, Work, longest_answer, request_claims, work_claims
from policies.policy import Policy, Team
from policies.policy_file.deciding_setting import STEPS, Caller, Decider, decider
from policies.queue_wish import QueueWish, queue_terms

Outcome = Literal["ok", "refused", "unknown"]
Prove = Callable[[], Principal]
FindModel = Callable[[str], ModelCard | None]


class Case(Struct, frozen=True, kw_only=True):
    """A request nobody sent. `prove` makes its principal, or raises what step 5 would."""

    method: str
    target: str
    address: str
    listener: ListenerName
    model: str
    prove: Prove
    find_model: FindModel


class Step(Struct, frozen=True):
    """What one step found."""

    number: int
    name: str
    outcome: Outcome
    text: str


class Explanation(Struct, frozen=True):
    """The steps up to the first that refuses, and that one's reason, status and decider.

    `status` is 200 when all let it through, and 0 when it cannot be told.
    """

    steps: tuple[Step, ...]
    reason: str = ""
    status: int = 200
    decider: Decider | None = None


def explain(case: Case, policy: Policy, routes: RouteTable) -> Explanation:
    """What the steps say of `case` under `policy`, on the listener whose routes these are."""
    walk = _Walk(case, policy, routes)
    try:
        walk.run()
    except Refused as error:
        return _refused(walk, error)
    except CannotTell as unknown:
        step = Step(walk.at, STEPS[walk.at], "unknown", str(unknown))
        return Explanation((*walk.steps, step), "cannot_tell", 0)
    return Explanation(tuple(walk.steps))


def _refused(walk: "_Walk", error: Refused) -> Explanation:
    event = next(event for kind, event, _ in ERROR_EVENTS if isinstance(error, kind))
    caller = Caller(team=walk.team_name, model=walk.case.model, listener=walk.case.listener)
    found = decider(error.reason, event, caller)
    rule = getattr(error, "rule", "")
    text = f"{error.reason} ({rule})" if rule else error.reason
    step = Step(walk.at, STEPS[walk.at], "refused", f"{text}: look at {found.look}")
    return Explanation((*walk.steps, step), error.reason, error.status, found)


class _Walk:
    """One run through the steps. `at` is the step under way, so that a refusal knows where it happened."""

    def __init__(self, case: Case, policy: Policy, routes: RouteTable) -> None:
        self.case = case
        self.policy = policy
        self.routes = routes
        self.steps: list[Step] = []
        self.at = 0
        self.team_name = ""

    def run(self) -> None:
        """Raises what the first step raises that refuses."""
        clean = self._edge()
        match = self.routes.match(self.case.method, clean.path)
        client = self._client()
        if match.opened() is not None:
            return self._ok(4, "an open route: nobody is asked who they are, and the answer is fixed")
        principal, team = self._caller(client)
        self._rates(request_claims(principal, team, self.policy, client))
        found = self._route(match.required)
        grant = self._authorize(principal, team, found.route, client)
        name = self.case.model or found.model
        if name:
            self._work(grant, authorize_model(grant, name, self.case.find_model), client)
        return None

    # ---- the steps

    def _edge(self) -> CleanTarget:
        headers = ((b"Host", b"localhost"),)
        clean = check_edge(self.case.method, self.case.target, headers, (1, 1))
        self._ok(0, f"{self.case.method} {clean.path} on the {self.case.listener} listener")
        return clean

    def _client(self) -> Address:
        self.at = 1
        client = client_address(self.case.address, (), self.policy.proxies)
        trusted = " (a trusted proxy: with its header, another address is the client's)"
        self._ok(1, f"the client is {client}{trusted if self.policy.proxies.trusts(client) else ''}")
        self.at = 2
        self.policy.require_address(client, self.case.listener)
        rules = [
            self.policy.networks.judge(client).rule,
            self.policy.listeners.of(self.case.listener).judge(client).rule,
        ]
        self._ok(2, f"let in by {' and '.join(filter(None, rules)) or 'default, as no list asks'}")
        return client

    def _caller(self, client: Address) -> tuple[Principal, Team]:
        bound = self.policy.failed_credentials_per_minute
        self._ok(3, f"refuses nobody who can prove who they are; {bound} failures a minute for this network")
        self._ok(4, "one credential is assumed")
        self.at = 5
        principal = self.case.prove()
        self.team_name = principal.team
        principal.networks.require(client, "key_network")
        team = team_of(principal, self.policy)
        held = " ".join(sorted(principal.scopes)) or "no scope"
        self._ok(5, f"{principal.kind} of team {principal.team} with {held}, unless revoked since")
        return principal, team

    def _rates(self, claims: tuple[RateClaim, ...]) -> None:
        self._ok(6, _told([claim.limit_text + _mode(report=claim.report) for claim in claims]))

    def _route(self, required: Callable[[], Found]) -> Found:
        self.at = 7
        found = required()
        self._ok(7, f"route {found.route.path}; what its body says is judged when it comes")
        return found

    def _authorize(self, principal: Principal, team: Team, route: Route, client: Address) -> Grant:
        self.at = 8
        grant = authorize_scope(principal, team, route.scope, client)
        rule = team.networks.judge(client).rule
        self._ok(8, f"scope {route.scope}" + (f", let in by {rule}" if rule else ""))
        return grant

    def _work(self, grant: Grant, card: ModelCard, client: Address) -> None:
        team, policy = grant.team, self.policy
        self._ok(8, f"model {card.name}" + (f", an adapter of {card.parent}" if card.parent else ""))
        cap = longest_answer(team, policy, card.name, card.parent)
        self._ok(9, f"an answer of at most {cap} output tokens")
        self._reserve(work_claims(grant.principal, team, policy, client, Work(card.name, 0, cap, card.parent)))
        self._ok(11, _queued(team, policy))
        self._ok(12, f"an answer may take {team.max_answer_s:g} s")

    def _reserve(self, claims: Claims) -> None:
        found: tuple[Claim, ...] = (*claims.rates, *claims.concurrency, *claims.budgets)
        self._ok(10, _told([claim.limit_text + _mode(report=claim.report) for claim in found]))

    def _ok(self, number: int, text: str) -> None:
        self.at = number
        self.steps.append(Step(number, STEPS[number], "ok", text))


def _queued(team: Team, policy: Policy) -> str:
    """On what terms a request waits whose caller wishes nothing of its own."""
    terms = queue_terms(QueueWish(), team, policy.bands)
    band, rank = policy.bands[terms.band], list(policy.bands).index(terms.band) + 1
    kept = f"{band.share:.0%} of the slots' time guaranteed" + ("" if band.lends else " and kept free")
    promise = "no time to the first token is promised"
    if terms.promise_s is not None:
        promise = f"first token within {terms.promise_s:g} s, or refused at once{_mode(report=not terms.enforced)}"
    return (
        f"band {terms.band} ({rank} of {len(policy.bands)}, {kept}), weight {team.weight:g}; {promise}; "
        f"at most {team.max_queued} of the team and {policy.max_queued} in all wait, {terms.max_wait_s:g} s"
    )


def _mode(*, report: bool) -> str:
    return " (reports only)" if report else ""


def _told(limits: list[str]) -> str:
    return f"unless used up: {'; '.join(limits)}" if limits else "no limit"
