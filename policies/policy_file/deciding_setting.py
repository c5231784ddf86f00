"""Which setting stands behind a refusal? From the private reason of a refusal to its step and what decided it.

Decides nothing: every row here repeats what the module of its step says, for the people who ask afterwards
(`corral policy explain`). Reasons are codes of ours, and each belongs to one step of the request flow. A
reason without a row is answered by the kind of refusal it was, with the step alone.
"""

from collections.abc import Mapping

from msgspec import Struct

from policies.worded import Worded, worded

Path = tuple[str, ...]

STEPS: tuple[str, ...] = (
    "edge",
    "client address",
    "networks",
    "guessing bound",
    "credential",
    "identity",
    "request rate",
    "body",
    "authorization",
    "prepare",
    "reserve",
    "admit",
    "answer",
)
"""The numbered steps of the request flow; a step's number is its place."""


class Decider(Struct, frozen=True):
    """What decided: the step, the setting's path in policy.yaml (empty when it is none), and where to look."""

    step: int
    setting: Path
    look: Worded


class Caller(Struct, frozen=True, kw_only=True):
    """What is known of a request when it was refused; empty where nothing is."""

    team: str = ""
    model: str = ""
    listener: str = "public"


_KEY = worded("the key: corral keys list", "look_key")
_BEARER = worded("the token, and its issuer's entry under issuers", "look_bearer")
_CERTIFICATE = worded("the client certificate, and certificates in policy.yaml", "look_certificate")
_REVOKED = worded("what was revoked: corral revoke", "look_revoked")
_CONFIG = "config.yaml"
_TIME_TO_WAIT = worded(
    "the team's first_token_s, else its max_wait_s, or less that the caller itself allowed", "look_time_to_wait"
)
_PROXY = worded("what the proxy says of the client's address", "look_proxy")
_GUESSES = worded("failed credentials from this network", "look_guessing")
_IN_URL = worded("the request: a credential does not belong into its URL", "look_credential_in_url")
_LOCKDOWN = worded("the lockdown: corral lockdown --lift", "look_lockdown")
_CRL = worded(f"the CRL file that {_CONFIG} names", "look_crl")
_OWN_MODELS = worded("the models that the credential itself is for", "look_credential_models")
_TEAM_QUEUE = worded("how many of the team may wait", "look_team_queue")
_QUEUE_HEADERS = worded("the request's headers for the queue", "look_queue_headers")
_ANSWER_TIME = worded("how long an answer of the team may take", "look_answer_time")
_LOG = worded("the log of the gateway, under the request's id", "look_log")

_ROWS: Mapping[str, tuple[int, Path, Worded]] = {
    "host_not_allowed": (0, (), worded(f"the host names in {_CONFIG}", "look_hosts")),
    "origin_not_allowed": (0, (), worded(f"the origins in {_CONFIG}", "look_origins")),
    "peer_unreadable": (1, (), worded("the address of the connection", "look_peer")),
    "forwarded_unreadable": (1, ("trusted_proxies",), _PROXY),
    "forwarded_too_long": (1, ("trusted_proxies",), _PROXY),
    "global_network": (2, ("networks",), worded("networks", "look_networks")),
    "listener_network": (2, ("listeners", "{listener}"), worded("the listener's networks", "look_listener_networks")),
    "guessing": (5, ("failed_credentials_per_minute",), _GUESSES),
    "no_credential": (4, (), worded("the request: it shows no key, token or certificate", "look_no_credential")),
    "malformed": (4, (), worded("the credential's form", "look_credential_form")),
    "credential_in_query": (4, (), _IN_URL),
    "credential_header_repeated": (4, (), worded("the request's headers", "look_headers")),
    "two_credentials": (4, (), worded("the request: it shows two credentials", "look_two_credentials")),
    "credential_kind_off": (5, (), worded("which credentials are taken at all", "look_credential_kinds")),
    "unknown": (5, (), _KEY),
    "wrong_secret": (5, (), _KEY),
    "revoked": (5, (), _KEY),
    "expired": (5, (), _KEY),
    "not_yet_valid": (5, (), _KEY),
    "replayed": (5, (), worded("the signature: it was used before", "look_replayed")),
    "out_of_window": (5, (), worded("the caller's clock", "look_clock")),
    "revoked_token": (5, (), _REVOKED),
    "revoked_actor": (5, (), _REVOKED),
    "revoked_team": (5, (), _REVOKED),
    "lockdown_all": (5, (), _LOCKDOWN),
    "lockdown_team": (5, (), _LOCKDOWN),
    "key_network": (5, (), worded("the credential's own networks: corral keys list", "look_key_networks")),
    "team_not_in_policy": (5, ("teams", "{team}"), worded("teams", "look_teams")),
    "crl_expired": (5, (), _CRL),
    "crl_missing": (5, (), _CRL),
    "route_unknown": (7, (), worded("the path of the request", "look_path")),
    "method_not_allowed": (7, (), worded("the method of the request", "look_method")),
    "team_network": (8, ("teams", "{team}", "networks"), worded("the team's networks", "look_team_networks")),
    "model_not_in_catalogue": (8, (), worded("the models at hand: corral status", "look_models")),
    "model_not_of_team": (8, ("teams", "{team}", "models"), worded("the team's models", "look_team_models")),
    "model_not_of_credential": (8, (), _OWN_MODELS),
    "draining": (11, (), worded("the gateway was being stopped", "look_draining")),
    "no_capacity": (11, (), worded("the model's targets: corral status", "look_targets")),
    "queue_full": (11, ("max_queued",), worded("how many may wait in all", "look_queue")),
    "team_queue_full": (11, ("teams", "{team}", "max_queued"), _TEAM_QUEUE),
    "deadline_unreachable": (11, ("teams", "{team}"), _TIME_TO_WAIT),
    "queue_header_value": (7, (), _QUEUE_HEADERS),
    "queue_header_repeated": (7, (), _QUEUE_HEADERS),
    "expired_in_queue": (11, ("teams", "{team}"), _TIME_TO_WAIT),
    "answer_time_limit": (12, ("teams", "{team}", "max_answer_s"), _ANSWER_TIME),
    "revoked_while_running": (12, (), worded("what was revoked while the answer was written", "look_revoked_running")),
    "expired_while_running": (12, (), worded("the end of the credential", "look_expired_running")),
}
_BEGINNINGS: tuple[tuple[str, tuple[int, Path, Worded]], ...] = (
    ("jwt_", (5, ("issuers",), _BEARER)),
    ("certificate_", (5, ("certificates",), _CERTIFICATE)),
    ("scope_", (8, (), worded("the scopes of the credential", "look_scopes"))),
    ("json_", (7, (), worded("the body of the request", "look_body"))),
)
_LIMITS: tuple[tuple[str, int, str], ...] = (
    ("rate_limited_", 6, "requests_per_minute"),
    ("prompt_tokens_limited_", 10, "prompt_tokens_per_minute"),
    ("output_tokens_limited_", 10, "output_tokens_per_minute"),
    ("concurrency_limited_", 10, "concurrent_requests"),
    ("day_budget_used_up_", 10, "tokens_per_day"),
    ("month_budget_used_up_", 10, "tokens_per_month"),
)
_WHOSE: Mapping[str, Path] = {
    "address": ("address_limits",),
    "key": ("teams", "{team}", "key_limits"),
    "team": ("teams", "{team}", "limits"),
    "model": ("model_limits", "{model}"),
    "all": ("limits",),
}
_OF_WHOM: Mapping[str, Worded] = {
    "address": worded("the limit of this address", "look_limit_address"),
    "key": worded("the limit of this key", "look_limit_key"),
    "team": worded("the limit of this team", "look_limit_team"),
    "model": worded("the limit of this model", "look_limit_model"),
    "all": worded("the limit of all callers together", "look_limit_all"),
}
_KINDS: Mapping[str, int] = {
    "request.rejected": 0,
    "request.unauthenticated": 5,
    "request.limited": 6,
    "request.denied": 8,
    "request.shed": 11,
    "request.failed": 12,
    "request.cut": 12,
    "request.aborted": 12,
}


def decider(reason: str, event: str, caller: Caller) -> Decider:
    """What decided a refusal that the audit log holds as `event` with this `reason`."""
    step, setting, look = _row(reason) or (_KINDS.get(event, 12), (), _LOG)
    names = {"{team}": caller.team, "{model}": caller.model, "{listener}": caller.listener}
    return Decider(step, tuple(names.get(part, part) for part in setting), look)


def _row(reason: str) -> tuple[int, Path, Worded] | None:
    if reason in _ROWS:
        return _ROWS[reason]
    for beginning, row in _BEGINNINGS:
        if reason.startswith(beginning):
            return row
    return _limit(reason.removeprefix("beyond_"))


def _limit(reason: str) -> tuple[int, Path, Worded] | None:
    for beginning, step, field in _LIMITS:
        whose = reason.removeprefix(beginning)
        if reason.startswith(beginning) and whose in _WHOSE:
            # The model is known only once the body is read, so its rate is counted at step 10 too.
            return 10 if whose == "model" else step, (*_WHOSE[whose], field), _OF_WHOM[whose]
    return None
