"""Their errors: every way a request is refused. Each refusal says two things.

`reason` is private, for the audit log: a stable code, never a client's text. What the caller reads
stands in one table per dialect in `gateway/`, filled from the public fields below; a test demands a
row for every subclass here. `status` is the HTTP status where a dialect names no other.
"""

from policies.standing import Standing


class Refused(Exception):
    """A request that Corral will not serve. Subclasses say which kind; `reason` says why, privately."""

    status = 403

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class EdgeRejected(Refused):
    """The message itself is unfit: framing, path, header. The connection is closed after it.

    `status` is 400 save for 417 (an Expect that cannot be met) and 426 (an upgrade not on offer).
    """

    status = 400

    def __init__(self, reason: str, *, status: int = 400) -> None:
        super().__init__(reason)
        self.status = status


class HostNotAllowed(EdgeRejected):
    """A Host that is none of this gateway's names (DNS rebinding, Ollama CVE-2024-28224): RFC 9110's 421."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, status=421)


class OriginNotAllowed(Refused):
    """A browser's Origin that the listener does not name."""

    status = 403


class AddressNotAllowed(Refused):
    """The client's address is not on a list it must be on; `rule`, private too, is that list's deciding one."""

    status = 403

    def __init__(self, reason: str, *, rule: str = "") -> None:
        super().__init__(reason)
        self.rule = rule


class NotAuthenticated(Refused):
    """Missing, malformed, unknown, wrong, expired, revoked: one body for all (RFC 6750 section 3.1).

    `presented` tells only whether there was a credential at all, for `error="invalid_token"`. `key_id`,
    private too, names the key whose secret was shown: the log must say which revoked key was tried. `actor` and
    `issuer`, as private, name whom another credential proved, for the same reason; `team` whose credential it was,
    so that the team's own reviewers find it.
    """

    status = 401

    def __init__(
        self, reason: str, *, presented: bool, key_id: str = "", actor: str = "", issuer: str = "", team: str = ""
    ) -> None:
        super().__init__(reason)
        self.presented = presented
        self.key_id = key_id
        self.actor = actor
        self.issuer = issuer
        self.team = team


class ConflictingCredentials(Refused):
    """Two different credentials in one request: RFC 6750 `invalid_request`."""

    status = 400


class CredentialInUrl(Refused):
    """A credential in the query, where logs and histories would keep it (OWASP ASVS 14.2.1)."""

    status = 400


class LockedDown(Refused):
    """An administrator has closed the gate for this team, or for all. The names are private, as above."""

    status = 403

    def __init__(self, reason: str, *, key_id: str = "", actor: str = "", issuer: str = "", team: str = "") -> None:
        super().__init__(reason)
        self.key_id = key_id
        self.actor = actor
        self.issuer = issuer
        self.team = team


class NotAuthorized(Refused):
    """A known caller without the scope for this route, or without a team (then named here, as above)."""

    status = 403

    def __init__(self, reason: str, *, actor: str = "", issuer: str = "") -> None:
        super().__init__(reason)
        self.key_id = self.team = ""
        self.actor = actor
        self.issuer = issuer


class RouteUnknown(Refused):
    """No such path, told only to a known principal."""

    status = 404


class MethodNotAllowed(Refused):
    """The path exists, the method does not; `allowed` fills the Allow header."""

    status = 405

    def __init__(self, allowed: tuple[str, ...]) -> None:
        super().__init__("method_not_allowed")
        self.allowed = allowed


class ModelUnknown(Refused):
    """The model does not exist or is not the team's: the two look alike (no inventory oracle)."""

    status = 404

    def __init__(self, reason: str, *, model: str) -> None:
        super().__init__(reason)
        self.model = model


class ModelsNotListed(Refused):
    """A model that is unknown so far, while an engine has not told what it serves. One text for every name; `reason` is
    why it would be refused by what is known.
    """

    status = 503


class BadRequest(Refused):
    """The body is not what the route takes. `text` is public and in the dialect's own words."""

    status = 400

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(reason)
        self.text = text


class BodyTooLarge(Refused):
    """The body, or a part of it, is beyond the route's cap of `limit_bytes`."""

    status = 413

    def __init__(self, reason: str, *, limit_bytes: int) -> None:
        super().__init__(reason)
        self.limit_bytes = limit_bytes


class BodyTooSlow(Refused):
    """The body did not arrive by its deadline."""

    status = 408


class EncodingNotSupported(Refused):
    """A Content-Encoding on a route that declares none."""

    status = 415


class RateLimited(Refused):
    """A rate or concurrency limit was reached; `limit` names it and whose it is, `retry_after_s` says when it frees.

    `standing` is the rate's, for the caller's headers; None where there is none (concurrency, guessing).
    """

    status = 429

    def __init__(self, reason: str, *, limit: str, retry_after_s: float, standing: Standing | None = None) -> None:
        super().__init__(reason)
        self.limit = limit
        self.retry_after_s = retry_after_s
        self.standing = standing


class QuotaExceeded(Refused):
    """A budget is used up; retrying soon does not help."""

    status = 429

    def __init__(self, reason: str, *, limit: str, retry_after_s: float) -> None:
        super().__init__(reason)
        self.limit = limit
        self.retry_after_s = retry_after_s


class BeyondLimit(Refused):
    """One request larger than a whole minute's or period's limit: no wait will make it fit."""

    status = 429

    def __init__(self, reason: str, *, limit: str) -> None:
        super().__init__(reason)
        self.limit = limit


class Overloaded(Refused):
    """Capacity exists but is contended.

    `reason`: queue_full, team_queue_full, deadline_unreachable or expired_in_queue. `retry_after_s` is the moment
    booked for this request, in seconds from now; None: there is none within reach, so no retry helps.
    """

    status = 429

    def __init__(self, reason: str, *, retry_after_s: float | None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class NoCapacity(Refused):
    """No target alive for the model: starting, draining or dead. `retry_after_s` None: nobody knows for how long."""

    status = 503

    def __init__(self, reason: str, *, retry_after_s: float | None = 1.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RequestKillsWorker(Refused):
    """The same request ended a worker while it ran there alone (`policies.suspects`): it is not run for a while."""

    status = 422


class CallerKillsWorkers(Refused):
    """Different requests of one caller ended workers, the last while it ran alone: it is refused for a while."""

    status = 429

    def __init__(self, reason: str, *, retry_after_s: float) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class PolicyUnavailable(Refused):
    """A check could not be made (key store away): refuse rather than guess."""

    status = 503


class AuditUnavailable(Refused):
    """The record of this request could not be written, so the request is not served."""

    status = 503


class Revoked(Refused):
    """The credential was revoked while its stream ran: the stream is cut."""

    status = 401
