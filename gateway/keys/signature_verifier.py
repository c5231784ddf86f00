"""Ollama's client signature against the registered public keys. The rules: `policies.credentials.ollama_signature`."""

from gateway.clock import Clock, unix_s
from gateway.keys.public_key_store import PublicKeyStore
from policies.credentials.credential import SignedCredential
from policies.credentials.ollama_signature import Replays, verify_signature
from policies.credentials.principal import Principal


class SignatureVerifier:
    """Holds what was signed lately. Each gateway process knows its own: what one saw, another may be shown once."""

    def __init__(self, public_keys: PublicKeyStore, clock: Clock) -> None:
        self._public_keys = public_keys
        self._clock = clock
        self._replays = Replays()

    def verify(self, credential: SignedCredential) -> Principal:
        """The principal. Raises NotAuthenticated, or PolicyUnavailable when no more can be remembered."""
        principal = verify_signature(credential, self._public_keys.find, unix_s(self._clock))
        self._replays.note(credential.public_key, credential.signed, self._clock.mono_ns() / 1e9)
        return principal
