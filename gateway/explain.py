"""What would happen to this request? Runs the steps of the flow with a made-up caller and says what each finds.

The steps are the functions that `gateway.request` runs, in its order and with its numbers, so an explanation
cannot differ from the decision. What depends on the moment is told and not asked: how full a bucket or the
queue is, whether a secret is right, what a body holds. A proven caller is assumed, unless a token is given.
"""

from collections.abc import Callable, Mapping
from typing import Literal

from msgspec import Struct

from gateway.dialects.route import Route
from gateway.explained_terms import told_limits, told_queue
from gateway.http.edge import CleanTarget, check_edge
from gateway.offline_token import CannotTell
from gateway.request_audit import ERROR_EVENTS
from gateway.routes import Found, RouteTable
from policies.access import Kind, ListenerName
from policies.addresses.client_address import client_address
from policies.addresses.networks import Address
from policies.authorization import Grant, authorize_model, authorize_scope, team_of
from policies.call import ModelCard
from policies.credentials.principal import Principal
from policies.errors import Refused
from policies.limiting.limits import Claims, RateClaim, Work, longest_answer, request_claims, work_claims
from policies.policy import Policy, Team
from policies.policy_file.deciding_setting import STEPS, Caller, Decider, decider
from policies.worded import Line, Worded, worded

Outcome = Literal["ok", "refused", "unknown"]
Prove = Callable[[], Principal]
FindModel = Callable[[str], ModelCard | None]

LISTENERS: Mapping[ListenerName, Worded] = {
    "public": worded("public", "listener_public"),
    "admin": worded("admin", "listener_admin"),
    "console": worded("console", "listener_console"),
}
KINDS: Mapping[Kind, Worded] = {
    "api_key": worded("api_key", "kind_api_key"),
    "ssh_key": worded("ssh_key", "kind_ssh_key"),
    "jwt": worded("jwt", "kind_jwt"),
    "certificate": worded("certificate", "kind_certificate"),
    "session": worded("session", "kind_session"),
}
_RULES = {"not in allow": worded("not in allow", "rule_not_in_allow")}
"""Of the rules that lists name, the one that is no line of the policy."""
NO_SCOPE = worded("no scope", "scope_none")


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
    line: Line

    @property
    def text(self) -> str:
        """What it says, as commands print it."""
        return str(self.line)


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
    why = _by_rule(error.reason, rule) if rule else error.reason
    line = worded(f"{why}: look at {found.look}", "step_refused", why=why, look=found.look)
    step = Step(walk.at, STEPS[walk.at], "refused", line)
    return Explanation((*walk.steps, step), error.reason, error.status, found)


def _by_rule(reason: str, rule: str) -> Worded:
    return worded(f"{reason} ({rule})", "refused_by_rule", reason=reason, rule=_RULES.get(rule, rule))


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
            line = "an open route: nobody is asked who they are, and the answer is fixed"
            return self._ok(4, worded(line, "step_open_route"))
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
        method, listener = self.case.method, LISTENERS[self.case.listener]
        line = f"{method} {clean.path} on the {listener} listener"
        self._ok(0, worded(line, "step_edge", method=method, path=clean.path, listener=listener))
        return clean

    def _client(self) -> Address:
        self.at = 1
        client = client_address(self.case.address, (), self.policy.proxies)
        line = f"the client is {client}"
        if self.policy.proxies.trusts(client):
            line = f"{line} (a trusted proxy: with its header, another address is the client's)"
            self._ok(1, worded(line, "step_client_proxy", client=str(client)))
        else:
            self._ok(1, worded(line, "step_client", client=str(client)))
        self.at = 2
        self.policy.require_address(client, self.case.listener)
        rules = [
            self.policy.networks.judge(client).rule,
            self.policy.listeners.of(self.case.listener).judge(client).rule,
        ]
        self._ok(2, _let_in(tuple(filter(None, rules))))
        return client

    def _caller(self, client: Address) -> tuple[Principal, Team]:
        bound = self.policy.failed_credentials_per_minute
        line = f"refuses nobody who can prove who they are; {bound} failures a minute for this network"
        self._ok(3, worded(line, "step_guessing", bound=bound))
        self._ok(4, worded("one credential is assumed", "step_credential"))
        self.at = 5
        principal = self.case.prove()
        self.team_name = principal.team
        principal.networks.require(client, "key_network")
        team = team_of(principal, self.policy)
        kind, held = KINDS[principal.kind], " ".join(sorted(principal.scopes)) or NO_SCOPE
        line = f"{kind} of team {principal.team} with {held}, unless revoked since"
        self._ok(5, worded(line, "step_identity", kind=kind, team=principal.team, scopes=held))
        return principal, team

    def _rates(self, claims: tuple[RateClaim, ...]) -> None:
        self._ok(6, told_limits(claims))

    def _route(self, required: Callable[[], Found]) -> Found:
        self.at = 7
        found = required()
        line = f"route {found.route.path}; what its body says is judged when it comes"
        self._ok(7, worded(line, "step_route", route=found.route.path))
        return found

    def _authorize(self, principal: Principal, team: Team, route: Route, client: Address) -> Grant:
        self.at = 8
        grant = authorize_scope(principal, team, route.scope, client)
        scope, rule = route.scope, team.networks.judge(client).rule
        if rule:
            self._ok(8, worded(f"scope {scope}, let in by {rule}", "step_scope_rule", scope=scope, rule=rule))
        else:
            self._ok(8, worded(f"scope {scope}", "step_scope", scope=scope))
        return grant

    def _work(self, grant: Grant, card: ModelCard, client: Address) -> None:
        team, policy = grant.team, self.policy
        self._ok(8, _model(card))
        cap = longest_answer(team, policy, card.name, card.parent)
        self._ok(9, worded(f"an answer of at most {cap} output tokens", "step_prepare", cap=cap))
        self._reserve(work_claims(grant.principal, team, policy, client, Work(card.name, 0, cap, card.parent)))
        self._ok(11, told_queue(team, policy))
        seconds = f"{team.max_answer_s:g}"
        self._ok(12, worded(f"an answer may take {seconds} s", "step_answer", seconds=seconds))

    def _reserve(self, claims: Claims) -> None:
        self._ok(10, told_limits((*claims.rates, *claims.concurrency, *claims.budgets)))

    def _ok(self, number: int, line: Worded) -> None:
        self.at = number
        self.steps.append(Step(number, STEPS[number], "ok", line))


def _let_in(rules: tuple[str, ...]) -> Worded:
    if not rules:
        return worded("let in by default, as no list asks", "step_networks_default")
    return worded(f"let in by {' and '.join(rules)}", "step_networks", rules=rules)


def _model(card: ModelCard) -> Worded:
    if not card.parent:
        return worded(f"model {card.name}", "step_model", model=card.name)
    line = f"model {card.name}, an adapter of {card.parent}"
    return worded(line, "step_adapter", model=card.name, parent=card.parent)
