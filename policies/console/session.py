"""One signed-in browser: what its sign-in proved, and whether the session still holds.

Decides nothing about roles: those follow at every request from the proof and the policy in force
(`policies.console.roles`). Rules, the first that fits ends the session:
 (1) ended by its person, by an admin, or with everything else of a credential                    session_ended
 (2) LONGEST_S after it was opened, however busy                                                  session_too_old
 (3) IDLE_S after a person last did something; what a page's script asks by itself does not count  session_idle
 (4) opened later than now by more than CLOCK_S: a clock was set back, or the store tells lies     session_of_the_future

OWASP ASVS 7.3.1 and 7.3.2 want both bounds; NIST SP 800-63B-4 section 5.2 gives 15 minutes for what is at stake here.
"""

from typing import Literal

from msgspec import Struct

from policies.errors import NotAuthenticated

IDLE_S = 15 * 60.0
LONGEST_S = 8 * 3600.0
CLOCK_S = 60.0
"""Gateways of several hosts share sessions, and their clocks differ a little."""
ALARM_S = 24 * 3600.0
"""How long admins and auditors are told that somebody signed in by a key."""
MAX_OF_PERSON = 16
"""More open sessions of one person are no browsers any more; the oldest ends."""

Method = Literal["break_glass", "certificate", "oidc"]


class Proof(Struct, frozen=True, kw_only=True):
    """What a sign-in proved, once and for the whole session.

    `subject` is the owner of a key, a certificate's name, or an ID token's `sub`, which `issuer` vouches for; `name` is
    what pages call the person. `groups` are the ID token's; `names` all names of the certificate whose digest is
    `certificate`. `key_id` is the key's. `issued_s` (Unix seconds) is when the credential was issued, as revocations
    count it. `logout_hint` is what the provider wants to be shown at the sign-out.
    """

    method: Method
    subject: str
    name: str = ""
    issuer: str = ""
    groups: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    certificate: str = ""
    key_id: str = ""
    issued_s: float | None = None
    logout_hint: str = ""

    @property
    def person(self) -> str:
        """What pages call the person."""
        return self.name or self.subject or self.key_id


class Session(Struct, frozen=True, kw_only=True):
    """One session as it is stored. `id` is no secret; times are Unix seconds; `client` is an address."""

    id: str
    proof: Proof
    opened_s: float
    seen_s: float
    client: str = ""
    lang: str = ""

    @property
    def owner(self) -> tuple[str, str, str]:
        """Whose it is: equal for two sessions of one person."""
        return self.proof.method, self.proof.issuer, self.proof.subject or self.proof.key_id

    def ends_s(self) -> float:
        """When it ends if nobody does anything any more."""
        return min(self.opened_s + LONGEST_S, self.seen_s + IDLE_S)


def require_live(session: Session, now_s: float) -> None:
    """Raises NotAuthenticated by the rules (2) to (4); (1) is a session that is not there."""
    if session.opened_s > now_s + CLOCK_S:
        raise NotAuthenticated("session_of_the_future", presented=True)
    if now_s >= session.opened_s + LONGEST_S:
        raise NotAuthenticated("session_too_old", presented=True)
    if now_s >= session.seen_s + IDLE_S:
        raise NotAuthenticated("session_idle", presented=True)


def counts_as_use(method: str, destination: str) -> bool:
    """Rule (3). `destination` is the request's Sec-Fetch-Dest: what a script fetches by itself says `empty`.

    A form that a script sends is a person's act all the same; a browser that sends no such header counts.
    """
    return method == "POST" or destination != "empty"


def beyond_bound(sessions: tuple[Session, ...], opened: Session) -> tuple[Session, ...]:
    """Those of the person's sessions that must end when `opened` is added: the longest unused first."""
    own = sorted((each for each in sessions if each.owner == opened.owner), key=lambda each: each.seen_s)
    return tuple(own[: max(0, len(own) + 1 - MAX_OF_PERSON)])
