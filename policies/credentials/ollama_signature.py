"""Step 5 for Ollama's client signature (OLLAMA_AUTH=1): who signed this request, and was it seen before?

The client (`api/client.go` and `auth/auth.go` of ollama/ollama) signs the bytes `METHOD,/path?ts=SECONDS`
with the Ed25519 key of ~/.ollama/id_ed25519, puts `ts` into the query, and sends the public key's SSH blob
and the signature, each in base64 with a colon between, as Authorization. It signs no host and no body and
adds no other query; the path has no prefix of a proxy. Ollama's own server never checks it.

The checks, in this order; all causes are one 401 to the caller:
 (a) the blob is an ssh-ed25519 key that only its owner can sign for, the signature 64 bytes,
     the query `ts` and nothing else                                                           malformed
 (b) `ts` is within 60 s of now, either way                                                    out_of_window
 (c) look-up of the key; Ed25519 over the signed bytes with the key as shown          unknown, wrong_signature
 (d) the record's state now                                                                    revoked, expired
 (e) the same signed bytes again: see `Replays`                                                replayed

An unknown key runs the same calls as a bad signature: both are verified with the key as shown, so the time
of a refusal does not tell which keys are registered.

A repetition is not always an attack. `ts` has whole seconds and Ed25519 is deterministic, so two `ollama ls`
in one second, or a program that embeds a hundred texts in it, send identical bytes. The rule: signed bytes
may come again within `REPEAT_S` of their first use, at most `MAX_USES` times in all, never later. An honest
client's clock leaves the second and its bytes change; one who took a request off the wire, for which TLS has
to be broken first, has those 2 s and not the 2 minutes of the window. What a repetition may carry is a body
of its own, since no body is signed: this credential belongs on TLS only.
"""

import hashlib
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from policies.credentials.credential import SignedCredential
from policies.credentials.principal import Principal
from policies.credentials.public_key import PublicKeyRecord, has_small_order, key_bytes
from policies.errors import NotAuthenticated, PolicyUnavailable

WINDOW_S = 60
"""How far a client's clock may be off, and so how long a signature is worth anything."""
REPEAT_S = 2.0
"""One second of the client's clock, and one for two requests to overtake each other on the way."""
MAX_USES = 256
"""Beyond the default request limit of a key (60 at once), so that the limit is what an honest client meets."""
MAX_PER_KEY = 4096
"""Different requests of one key that are remembered: 34 a second over all of the window."""
MAX_REMEMBERED = 262_144
"""Of all keys together; about 200 bytes each, so 50 MB at most."""
SIGNATURE_BYTES = 64

Lookup = Callable[[bytes], PublicKeyRecord | None]


@dataclass(slots=True)
class _Use:
    public_key: bytes
    first_s: float
    uses: int = 1


class Replays:
    """The signed bytes that may still be within their window. `now_s` is any monotonic clock in seconds.

    Only proven signatures of registered keys are remembered, of each key no more than its share: one key alone
    cannot fill the place of all. When full it refuses instead of forgetting.
    """

    def __init__(self, *, max_per_key: int = MAX_PER_KEY, max_remembered: int = MAX_REMEMBERED) -> None:
        self._max_per_key = max_per_key
        self._max_remembered = max_remembered
        self._uses: OrderedDict[bytes, _Use] = OrderedDict()
        self._shares: Counter[bytes] = Counter()

    def note(self, public_key: bytes, signed: bytes, now_s: float) -> None:
        """Count one use. Raises NotAuthenticated for a replay, PolicyUnavailable when there is no room."""
        self._forget_old(now_s)
        name = hashlib.sha256(public_key + signed).digest()  # a blob has one length, so no two pairs are alike
        known = self._uses.get(name)
        if known is None:
            self._remember(name, _Use(public_key, now_s))
        elif now_s - known.first_s > REPEAT_S or known.uses >= MAX_USES:
            raise NotAuthenticated("replayed", presented=True)
        else:
            known.uses += 1

    def _remember(self, name: bytes, use: _Use) -> None:
        if self._shares[use.public_key] >= self._max_per_key or len(self._uses) >= self._max_remembered:
            raise PolicyUnavailable("replay_cache_full")
        self._uses[name] = use
        self._shares[use.public_key] += 1

    def _forget_old(self, now_s: float) -> None:
        """Drop what is out of the window by now, wherever its `ts` lay in it when it came."""
        while self._uses and now_s - next(iter(self._uses.values())).first_s > 2 * WINDOW_S:
            _, use = self._uses.popitem(last=False)
            self._shares[use.public_key] -= 1
            if not self._shares[use.public_key]:
                del self._shares[use.public_key]


def verify_signature(credential: SignedCredential, lookup: Lookup, now_s: float) -> Principal:
    """The principal whose key signed `credential` at `now_s` (Unix seconds); checks (a) to (d).

    Raises NotAuthenticated, or whatever PolicyUnavailable `lookup` raises. `Replays.note` is to follow.
    """
    key = _read_form(credential)
    if abs(now_s - credential.ts_s) > WINDOW_S:
        raise NotAuthenticated("out_of_window", presented=True)
    record = lookup(credential.public_key)
    matches = _matches(key, credential)
    if record is None or not matches:
        raise NotAuthenticated("unknown" if record is None else "wrong_signature", presented=True)
    state = record.state(now_s)
    if state != "active":
        raise NotAuthenticated(state, presented=True, key_id=record.id, team=record.team)
    return _principal(record)


def _read_form(credential: SignedCredential) -> bytes:
    try:
        key = key_bytes(credential.public_key)
    except ValueError:
        raise NotAuthenticated("malformed", presented=True) from None
    # What the client would have signed: another query, or two of them, was never covered by a signature of its.
    whole = credential.signed.endswith(b"?ts=%d" % credential.ts_s) and credential.signed.count(b"?") == 1
    if not whole or len(credential.signature) != SIGNATURE_BYTES or has_small_order(key):
        raise NotAuthenticated("malformed", presented=True)
    return key


def _matches(key: bytes, credential: SignedCredential) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(credential.signature, credential.signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def _principal(record: PublicKeyRecord) -> Principal:
    return Principal(
        kind="ssh_key",
        team=record.team,
        key_id=record.id,
        owner=record.owner,
        scopes=record.scopes,
        networks=record.own_networks,
        issued_s=record.created_s,
        expires_s=record.expires_s,
    )
