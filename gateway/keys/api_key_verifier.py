"""API keys at step 5: the key store and the peppers, joined to the decision in `policies.credentials.principal`."""

from collections.abc import Mapping

from gateway.clock import Clock
from gateway.keys.key_store import KeyStore
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.principal import Principal, verify_api_key


class ApiKeyVerifier:
    """Verifies API keys against the copy in memory."""

    def __init__(self, keys: KeyStore, peppers: Mapping[int, bytes], clock: Clock) -> None:
        self._keys = keys
        self._peppers = peppers
        self._clock = clock

    def verify(self, credential: ApiKeyCredential) -> Principal:
        """The principal behind the key. Raises NotAuthenticated or PolicyUnavailable."""
        return verify_api_key(credential, self._keys.get, self._peppers, self._clock.unix_ns() / 1e9)
