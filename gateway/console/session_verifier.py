"""Step 5 for a request that a page of the console hands on: the session's cookie, proven as at every page.

The cookie opens a session that is live, its owner has a standing by the policy in force, and that lets them ask as the
team named. Where a key opened the session, the principal is the key's own (its limits, networks and team).
"""

from collections.abc import Callable

from gateway.clock import Clock
from gateway.console.judge import Judge
from gateway.console.sessions import Sessions
from gateway.keys.key_store import KeyStore
from policies.console.chat_rights import session_principal
from policies.console.session import Session, require_live
from policies.credentials.credential import SessionCredential
from policies.credentials.principal import Principal, holder_of
from policies.errors import NotAuthenticated


class SessionVerifier:
    """See the head of the module. `opened` answers the console's sessions and judge, None while there is no console."""

    def __init__(self, opened: Callable[[], tuple[Sessions, Judge] | None], keys: KeyStore, clock: Clock) -> None:
        self._opened = opened
        self._keys = keys
        self._clock = clock

    async def verify(self, credential: SessionCredential) -> Principal:
        """Raises NotAuthenticated, NotAuthorized, AddressNotAllowed, LockedDown or PolicyUnavailable."""
        opened = self._opened()
        if opened is None:
            raise NotAuthenticated("session_unknown", presented=True)
        sessions, judge = opened
        session = await sessions.find(credential.cookie)
        require_live(session, self._clock.unix_ns() / 1e9)
        standing = judge.standing(session.proof, session.client)
        return session_principal(standing, session, credential.team, self._key_of(session))

    def _key_of(self, session: Session) -> Principal | None:
        record = self._keys.get(session.proof.key_id) if session.proof.method == "break_glass" else None
        return holder_of(record, self._keys.get) if record is not None else None
