"""Sessions as the console keeps them: the cookie that a browser holds, and the sealed row that is found by it.

- The cookie is 256 bits of chance. Stored is only its HMAC, so what lies in the store opens nothing; the row under it
  is enciphered (AES-256-GCM) with the digest bound in, so that nobody who can write to the store can make a session,
  move one or read whose it is. All three keys are drawn from the newest pepper: who adds one ends all sessions.
- The token of forms (CSRF) is another HMAC of the cookie: nothing to store, another one for each session.
- `__Host-`: only this host, only over TLS, never a sibling's (RFC 6265bis section 4.1.3.2). No Max-Age: a browser that
  is closed forgets it, and the store ends it anyway.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import structs

from gateway.audit.home_secret import purpose_key
from gateway.console.session_store import SessionStore
from policies.console.session import ALARM_S, Proof, Session, beyond_bound, require_live
from policies.errors import NotAuthenticated, PolicyUnavailable

COOKIE = "__Host-corral"
COOKIE_BYTES, ID_BYTES, NONCE_BYTES = 32, 8, 12
MAX_SESSIONS = 4096
"""All of them together; each has somebody behind it who was proven."""
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Strict"


class Sessions:
    """The sessions in `store`. Times are Unix seconds. Each may raise PolicyUnavailable."""

    def __init__(self, store: SessionStore, peppers: Mapping[int, bytes], random_bytes: Callable[[int], bytes]) -> None:
        secret = peppers[max(peppers)]
        self._store = store
        self._random_bytes = random_bytes
        self._digest_key = purpose_key(secret, "console cookie")
        self._token_key = purpose_key(secret, "console form")
        self._cipher = AESGCM(purpose_key(secret, "console session"))

    def made(self, proof: Proof, client: str, now_s: float, lang: str = "") -> tuple[str, Session]:
        """A new cookie and its session, not kept yet."""
        cookie = base64.urlsafe_b64encode(self._random_bytes(COOKIE_BYTES)).rstrip(b"=").decode("ascii")
        name = self._random_bytes(ID_BYTES).hex()
        return cookie, Session(id=name, proof=proof, opened_s=now_s, seen_s=now_s, client=client, lang=lang)

    async def keep(self, cookie: str, session: Session) -> None:
        """From now on `cookie` opens `session`; the person's oldest end where there are too many."""
        rows = await self._rows()
        if len(rows) >= MAX_SESSIONS:
            raise PolicyUnavailable("session_store_full")
        surplus = beyond_bound(tuple(rows.values()), session)
        for digest, each in rows.items():
            if each in surplus:
                await self._store.drop(digest)
        if session.proof.method == "break_glass":
            await self._store.raise_alarm(session.id, session.opened_s, session.opened_s + ALARM_S)
        digest = self._digest(cookie)
        await self._store.put(digest, self._seal(digest, session))

    async def find(self, cookie: str) -> Session:
        """What `cookie` opens, live or not. Raises NotAuthenticated for nothing."""
        digest = self._digest(cookie)
        sealed = await self._store.get(digest)
        session = self._unseal(digest, sealed) if sealed is not None else None
        if session is None:
            raise NotAuthenticated("session_ended", presented=True)
        return session

    async def of_id(self, name: str, now_s: float) -> Session:
        """The live session with the id `name`. Raises NotAuthenticated."""
        for each in await self.open_now(now_s):
            if each.id == name:
                return each
        raise NotAuthenticated("session_ended", presented=True)

    async def seen(self, cookie: str, session: Session, now_s: float, lang: str) -> None:
        """Its person did something just now; a session that ended meanwhile stays ended."""
        digest = self._digest(cookie)
        await self._store.update(digest, self._seal(digest, structs.replace(session, seen_s=now_s, lang=lang)))

    async def open_now(self, now_s: float) -> tuple[Session, ...]:
        """All that are live, by their beginning."""
        live = [each for each in (await self._rows()).values() if now_s < each.ends_s()]
        return tuple(sorted(live, key=lambda each: (each.opened_s, each.id)))

    async def end(self, name: str) -> bool:
        """End the session with the id `name`; True for the one caller who did."""
        for digest, each in (await self._rows()).items():
            if each.id == name:
                return await self._store.drop(digest)
        return False

    async def end_dead(self, now_s: float) -> list[tuple[Session, str]]:
        """End what is too old or idle; answers those that this call ended, with the reason."""
        ended = []
        for digest, each in (await self._rows()).items():
            try:
                require_live(each, now_s)
            except NotAuthenticated as fault:
                if await self._store.drop(digest):
                    ended.append((each, fault.reason))
        return ended

    async def alarms(self, now_s: float) -> tuple[float, ...]:
        """When somebody signed in by a key within the last day, newest first."""
        return await self._store.alarms(now_s)

    def token(self, cookie: str) -> str:
        """What the forms of this session carry."""
        return hmac.new(self._token_key, cookie.encode(), hashlib.sha256).hexdigest()

    def set_cookie(self, cookie: str) -> str:
        """The Set-Cookie value that gives it to the browser."""
        return f"{COOKIE}={cookie}; {_ATTRIBUTES}"

    def take_cookie(self) -> str:
        """The Set-Cookie value that takes it away."""
        return f"{COOKIE}=; {_ATTRIBUTES}; Max-Age=0"

    async def close(self) -> None:
        """Let the store go."""
        await self._store.close()

    async def _rows(self) -> dict[str, Session]:
        """Every session by its digest; a row that does not unseal is none of ours."""
        opened = ((digest, self._unseal(digest, sealed)) for digest, sealed in (await self._store.all()).items())
        return {digest: session for digest, session in opened if session is not None}

    def _digest(self, cookie: str) -> str:
        return hmac.new(self._digest_key, cookie.encode(), hashlib.sha256).hexdigest()

    def _seal(self, digest: str, session: Session) -> bytes:
        nonce = self._random_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, msgspec.json.encode(session), digest.encode())

    def _unseal(self, digest: str, sealed: bytes) -> Session | None:
        try:
            text = self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], digest.encode())
            return msgspec.json.decode(text, type=Session)
        except (InvalidTag, ValueError):  # msgspec's errors are ValueErrors; so is a nonce that is too short
            return None
