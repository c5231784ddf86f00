"""The signature of a registered key lets its team in, and the same bytes do so only for a moment."""

import pytest

from gateway.keys.key_store import KeyStore
from gateway.keys.signature_verifier import SignatureVerifier
from policies.credentials.credential import SignedCredential
from policies.credentials.ollama_signature import REPEAT_S
from policies.credentials.public_key import PublicKeyRecord, public_key_id, read_public_key
from policies.errors import NotAuthenticated
from tests.fakes import ManualClock
from tests.ollama_client import OllamaClient

CLIENT = OllamaClient()


@pytest.fixture
def keys(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    blob = read_public_key(CLIENT.line)
    store.public_keys.save(
        PublicKeyRecord(
            id=public_key_id(blob),
            blob=blob,
            team="blue",
            scopes=frozenset({"models"}),
            created_s=1.0,
            expires_s=None,
        )
    )
    yield store
    store.close()


def signed(clock: ManualClock) -> SignedCredential:
    now_s = clock.unix_ns() // 10**9
    return SignedCredential(CLIENT.blob, CLIENT._key.sign(b"GET,/?ts=%d" % now_s), b"GET,/?ts=%d" % now_s, now_s)


def test_a_registered_key_is_let_in_and_its_replay_is_not(keys):
    clock = ManualClock()
    verifier = SignatureVerifier(keys.public_keys, clock)
    credential = signed(clock)
    assert [verifier.verify(credential).team for _ in range(2)] == ["blue", "blue"]
    clock.move(REPEAT_S + 0.5)
    with pytest.raises(NotAuthenticated, match="replayed"):
        verifier.verify(credential)
    assert verifier.verify(signed(clock)).kind == "ssh_key"


def test_what_was_not_proven_is_not_remembered(keys):
    clock = ManualClock()
    verifier = SignatureVerifier(keys.public_keys, clock)
    credential = signed(clock)
    wrong = SignedCredential(credential.public_key, bytes(64), credential.signed, credential.ts_s)
    with pytest.raises(NotAuthenticated, match="wrong_signature"):
        verifier.verify(wrong)
    clock.move(REPEAT_S + 0.5)
    assert verifier.verify(credential).team == "blue"
