"""Ends running requests whose caller would no longer be let in: revoked, locked out, or expired."""

from dataclasses import replace

from gateway.clock import Clock, unix_s
from gateway.keys.key_store import KeyStore
from gateway.running import Running
from policies.credentials.principal import Principal
from policies.credentials.revocation import cause_to_cut
from policies.errors import Refused


class StreamWatch:
    """Looks at every change of the revocations, and whenever it is told to; each second is meant."""

    def __init__(self, keys: KeyStore, running: Running, clock: Clock) -> None:
        self._keys = keys
        self._running = running
        self._clock = clock
        keys.subscribe(running.revoked)
        keys.revocations.subscribe(self.look)

    def look(self) -> None:
        """Cut what must end now."""
        now_s = unix_s(self._clock)
        self._running.cut_where(lambda principal: self._cause(principal, now_s))

    def _cause(self, principal: Principal, now_s: float) -> Refused | None:
        # A rotation while the stream runs brings its key's end forward.
        record = self._keys.get(principal.key_id)
        if record is not None:
            principal = replace(principal, expires_s=record.ends_s)
        return cause_to_cut(principal, self._keys.revocations.current, now_s)
