"""Which setting stands behind a refusal? From the private reason of a refusal to its step and what decided it.

Decides nothing: every row here repeats what the module of its step says, for the people who ask afterwards
(`corral policy explain`). Reasons are codes of ours, and each belongs to one step of the request flow. A
reason without a row is answered by the kind of refusal it was, with the step alone.
"""

from collections.abc import Mapping

from msgspec import Struct

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
    look: str


class Caller(Struct, frozen=True, kw_only=True):
    """What is known of a request when it was refused; empty where nothing is."""

    team: str = ""
    model: str = ""
    listener: str = "public"


_KEY = "the key: corral keys list"
_BEARER = "the token, and its issuer's entry under issuers"
_CERTIFICATE = "the client certificate, and certificates in policy.yaml"
_REVOKED = "what was revoked: corral revoke"
_CONFIG = "config.yaml"
_TIME_TO_WAIT = "the team's first_token_s, else its max_wait_s, or less that the caller itself allowed"

_ROWS: Mapping[str, tuple[int, Path, str]] = {
    "host_not_allowed": (0, (), f"the host names in {_CONFIG}"),
    "origin_not_allowed": (0, (), f"the origins in {_CONFIG}"),
    "peer_unreadable": (1, (), "the address of the connection"),
    "forwarded_unreadable": (1, ("trusted_proxies",), "what the proxy says of the client's address"),
    "forwarded_too_long": (1, ("trusted_proxies",), "what the proxy says of the client's address"),
    "global_network": (2, ("networks",), "networks"),
    "listener_network": (2, ("listeners", "{listener}"), "the listener's networks"),
    "guessing": (5, ("failed_credentials_per_minute",), "failed credentials from this network"),
    "no_credential": (4, (), "the request: it shows no key, token or certificate"),
    "malformed": (4, (), "the credential's form"),
    "credential_in_query": (4, (), "the request: a credential does not belong into its URL"),
    "credential_header_repeated": (4, (), "the request's headers"),
    "two_credentials": (4, (), "the request: it shows two credentials"),
    "credential_kind_off": (5, (), "which credentials are taken at all"),
    "unknown": (5, (), _KEY),
    "wrong_secret": (5, (), _KEY),
    "revoked": (5, (), _KEY),
    "expired": (5, (), _KEY),
    "not_yet_valid": (5, (), _KEY),
    "replayed": (5, (), "the signature: it was used before"),
    "out_of_window": (5, (), "the caller's clock"),
    "revoked_token": (5, (), _REVOKED),
    "revoked_actor": (5, (), _REVOKED),
    "revoked_team": (5, (), _REVOKED),
    "lockdown_all": (5, (), "the lockdown: corral lockdown --lift"),
    "lockdown_team": (5, (), "the lockdown: corral lockdown --lift"),
    "key_network": (5, (), "the credential's own networks: corral keys list"),
    "team_not_in_policy": (5, ("teams", "{team}"), "teams"),
    "crl_expired": (5, (), f"the CRL file that {_CONFIG} names"),
    "crl_missing": (5, (), f"the CRL file that {_CONFIG} names"),
    "route_unknown": (7, (), "the path of the request"),
    "method_not_allowed": (7, (), "the method of the request"),
    "team_network": (8, ("teams", "{team}", "networks"), "the team's networks"),
    "model_not_in_catalogue": (8, (), "the models at hand: corral status"),
    "model_not_of_team": (8, ("teams", "{team}", "models"), "the team's models"),
    "model_not_of_credential": (8, (), "the models that the credential itself is for"),
    "draining": (11, (), "the gateway was being stopped"),
    "no_capacity": (11, (), "the model's targets: corral status"),
    "queue_full": (11, ("max_queued",), "how many may wait in all"),
    "team_queue_full": (11, ("teams", "{team}", "max_queued"), "how many of the team may wait"),
    "deadline_unreachable": (11, ("teams", "{team}"), _TIME_TO_WAIT),
    "queue_header_value": (7, (), "the request's headers for the queue"),
    "queue_header_repeated": (7, (), "the request's headers for the queue"),
    "expired_in_queue": (11, ("teams", "{team}"), _TIME_TO_WAIT),
    "answer_time_limit": (12, ("teams", "{team}", "max_answer_s"), "how long an answer of the team may take"),
    "revoked_while_running": (12, (), "what was revoked while the answer was written"),
    "expired_while_running": (12, (), "the end of the credential"),
}
_BEGINNINGS: tuple[tuple[str, tuple[int, Path, str]], ...] = (
    ("jwt_", (5, ("issuers",), _BEARER)),
    ("certificate_", (5, ("certificates",), _CERTIFICATE)),
    ("scope_", (8, (), "the scopes of the credential")),
    ("json_", (7, (), "the body of the request")),
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
    step, setting, look = _row(reason) or (_KINDS.get(event, 12), (), "the log of the gateway, under the request's id")
    names = {"{team}": caller.team, "{model}": caller.model, "{listener}": caller.listener}
    return Decider(step, tuple(names.get(part, part) for part in setting), look)


def _row(reason: str) -> tuple[int, Path, str] | None:
    if reason in _ROWS:
        return _ROWS[reason]
    for beginning, row in _BEGINNINGS:
        if reason.startswith(beginning):
            return row
    return _limit(reason.removeprefix("beyond_"))


def _limit(reason: str) -> tuple[int, Path, str] | None:
    for beginning, step, field in _LIMITS:
        whose = reason.removeprefix(beginning)
        if reason.startswith(beginning) and whose in _WHOSE:
            # The model is known only once the body is read, so its rate is counted at step 10 too.
            return 10 if whose == "model" else step, (*_WHOSE[whose], field), f"the limit of this {whose}"
    return None
