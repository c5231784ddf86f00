"""Who may do what at all: credential kind x scope x listener, one table, default deny.

A route names the scope it needs; a scope is open to the kinds of credential below, on the listeners
below, and to nobody else. That a principal also holds the scope, and which models it may name, is
`authorization`'s decision; this table bounds what can ever be held.

Rules:
- Whatever changes something or shows all teams (`admin`, `metrics`) is on the admin listener only.
- A registered public key is a person's `ollama` command: it asks models and lists them, no more.
- A session of the console asks models, no more; its pages show the rest by their own rules.
- No principal may change things and review the changes (`NEVER_TOGETHER`; NIST 800-53 AC-5).
"""

from collections.abc import Set
from typing import Literal

from msgspec import Struct

from policies.errors import NotAuthorized

Kind = Literal["api_key", "jwt", "certificate", "ssh_key", "session"]
Scope = Literal["open", "models", "inference", "metrics", "admin"]
ListenerName = Literal["public", "admin", "console"]

EVERY_KIND: frozenset[Kind] = frozenset({"api_key", "jwt", "certificate", "ssh_key", "session"})
CALLER_KINDS: frozenset[Kind] = frozenset({"api_key", "jwt", "certificate", "ssh_key"})
SERVICE_KINDS: frozenset[Kind] = frozenset({"api_key", "jwt", "certificate"})
EVERYWHERE: frozenset[ListenerName] = frozenset({"public", "admin"})
WHERE_ASKED: frozenset[ListenerName] = frozenset({"public", "admin", "console"})
ADMIN_ONLY: frozenset[ListenerName] = frozenset({"admin"})

NEVER_TOGETHER = (frozenset({"admin", "auditor"}),)
"""Separation of duties: who can change things must not be the one who reviews the changes."""


class Access(Struct, frozen=True):
    """Which kinds of credential may hold a scope, and on which listeners its routes may stand."""

    kinds: frozenset[Kind]
    listeners: frozenset[ListenerName]


ACCESS: dict[Scope, Access] = {
    "open": Access(frozenset(), EVERYWHERE),
    "models": Access(CALLER_KINDS, EVERYWHERE),
    "inference": Access(EVERY_KIND, WHERE_ASKED),
    "metrics": Access(SERVICE_KINDS, ADMIN_ONLY),
    "admin": Access(SERVICE_KINDS, ADMIN_ONLY),
}
"""The table. `open` needs no credential, so no kind holds it."""


def require_scope(kind: Kind, held: Set[str], scope: Scope) -> None:
    """Raises NotAuthorized unless a credential of `kind` that holds `held` may use a route of `scope`."""
    if scope not in held:
        raise NotAuthorized(f"scope_{scope}_missing")
    if kind not in ACCESS[scope].kinds:
        raise NotAuthorized(f"scope_{scope}_not_for_{kind}")


def require_separation(held: Set[str]) -> None:
    """Raises NotAuthorized for scopes that no one may hold together."""
    for pair in NEVER_TOGETHER:
        if pair <= held:
            raise NotAuthorized(f"{'_and_'.join(sorted(pair))}_together")
