"""Step 5: from a credential to a principal, with the bound on guessing enforced on failure."""

from collections.abc import Mapping

from gateway.clock import Clock
from gateway.keys.key_store import KeyStore
from policies.credential import Credential
from policies.errors import NotAuthenticated
from policies.guessing import GuessAllowance, Guessing
from policies.networks import Address
from policies.principal import Principal, verify_api_key


class Identity:
    """Verifies credentials against the key store."""

    def __init__(self, keys: KeyStore, peppers: Mapping[int, bytes], guessing: Guessing, clock: Clock) -> None:
        self._keys = keys
        self._peppers = peppers
        self._clock = clock
        self.guessing = guessing

    def allowance(self, client: Address) -> GuessAllowance:
        """What this client's network has left to guess."""
        return self.guessing.read(client, self._clock.mono_ns() / 1e9)

    def verify(self, credential: Credential, allowance: GuessAllowance) -> Principal:
        """The principal behind `credential`.

        Raises NotAuthenticated, or RateLimited in its place when the client's network guessed too often.
        """
        now_s = self._clock.unix_ns() / 1e9
        try:
            return verify_api_key(credential, self._keys.get, self._peppers, now_s)
        except NotAuthenticated:
            self.guessing.charge_failure(allowance, self._clock.mono_ns() / 1e9)
            raise
