"""As which teams a viewer of the console may chat, and the principal that then asks: step 5 for a session.

Proves nothing: that the session holds, and what its owner's standing is, was proven before. What the team may ask, and
how much, the steps behind decide as for every caller. Rules:
 (1) An auditor chats as no team: the role reads.
 (2) A team lead chats as the own teams, an admin as any team: both could make a key of it; the log names the person.
 (3) Who signed in with a key chats as the key's team, and only where the key itself may ask: a session gives a key no
     right that it has not, and counts against the key's limits.
 (4) All sessions of one person share one limit, so that more browsers are no more requests.
"""

from collections.abc import Iterable
from dataclasses import replace

from policies.addresses.networks import Networks
from policies.console.roles import Standing
from policies.console.session import LONGEST_S, Session
from policies.credentials.principal import Principal
from policies.errors import NotAuthorized

CHATS = frozenset({"inference"})


def chat_teams(standing: Standing, known: Iterable[str], key: Principal | None) -> tuple[str, ...]:
    """The teams of `known`, in order. `key` is who the key that opened the session is by itself; None without one."""
    if standing.role == "auditor":
        return ()
    own = standing.teams
    if key is not None:
        own = frozenset({key.team}) if key.scopes >= CHATS else frozenset()
    return tuple(sorted(team for team in known if own is None or team in own))


def session_principal(standing: Standing, session: Session, team: str, key: Principal | None) -> Principal:
    """Who asks when the session's owner chats as `team`. Raises NotAuthorized by the rules above."""
    proof = session.proof
    by_key = proof.method == "break_glass"
    if (by_key and key is None) or team not in chat_teams(standing, (team,), key):
        raise NotAuthorized("console_chat_not_theirs", actor=proof.subject, issuer=proof.issuer)
    ends_s = session.opened_s + LONGEST_S
    if key is not None:
        ends_s = min(ends_s, key.expires_s if key.expires_s is not None else ends_s)
        return replace(key, kind="session", scopes=CHATS, jti=session.id, expires_s=ends_s, client_id="console")
    return Principal(
        kind="session",
        team=team,
        scopes=CHATS,
        networks=Networks(),
        subject=proof.subject,
        other_names=proof.names,
        issuer=proof.issuer,
        jti=session.id,
        issued_s=proof.issued_s,
        expires_s=ends_s,
        client_id="console",
    )
