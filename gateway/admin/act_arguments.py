"""The arguments of the acts, as they arrive in JSON, checked once and typed from then on."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta, Struct

from gateway.admin.act import ActRefused
from gateway.admin.duration import read_duration_s
from policies.credentials.api_key import find_api_keys
from policies.worded import line_of, worded

# 256 characters is room for a sentence and bounds what one act can add to the log.
Text = Annotated[str, Meta(max_length=256)]
Words = Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=64)]
Names = Annotated[tuple[Text, ...], Meta(max_length=64)]


class Arguments(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every act takes: why it is done, the ticket that asked for it, and the id of what two persons approved."""

    reason: Text = ""
    ticket: Text = ""
    approval: Annotated[str, Meta(max_length=64)] = ""


class ErasePerson(Arguments, frozen=True, kw_only=True):
    """Names as the log says them, and pseudonyms."""

    persons: Names = ()
    pseudonyms: Names = ()


class EraseContent(Arguments, frozen=True, kw_only=True):
    """The ids of requests."""

    requests: Words


class ReadContent(Arguments, frozen=True, kw_only=True):
    """The id of a request."""

    request: Text


class CreateKey(Arguments, frozen=True, kw_only=True):
    """`expires` is a duration, `never`, or None for the default."""

    team: Text
    owner: Text = ""
    purpose: Text = ""
    expires: Text | None = None
    unsafe_no_expiry: bool = False
    networks: Words = ()
    scopes: Words = ("inference", "models")


class ListKeys(Arguments, frozen=True, kw_only=True):
    """`team` None lists all."""

    team: Text | None = None


class RotateKey(Arguments, frozen=True, kw_only=True):
    """`overlap` is how long the old key still holds."""

    id: Text
    overlap: Text = "24h"


class RevokeKey(Arguments, frozen=True, kw_only=True):
    """The reason is demanded by the act itself."""

    id: Text


class ReviewKeys(Arguments, frozen=True, kw_only=True):
    """`id` None asks which keys need a look; `next` is the time until the next review."""

    id: Text | None = None
    next: Text = "90d"


class RegisterKey(Arguments, frozen=True, kw_only=True):
    """`public_key` is the line of an `.pub` file; the rest is as for CreateKey."""

    team: Text
    public_key: Annotated[str, Meta(max_length=1024)]
    owner: Text = ""
    purpose: Text = ""
    expires: Text | None = None
    unsafe_no_expiry: bool = False
    networks: Words = ()
    scopes: Words = ("inference", "models")


class Revoke(Arguments, frozen=True, kw_only=True):
    """One of the three."""

    actor: Text = ""
    team: Text = ""
    jti: Text = ""


class LockDown(Arguments, frozen=True, kw_only=True):
    """`team` None is all."""

    team: Text | None = None
    lift: bool = False


class AddGrant(Arguments, frozen=True, kw_only=True):
    """`limit` is FIELD=VALUE, `until` a duration or a moment (RFC 3339)."""

    team: Text
    limit: Text
    until: Text


class ListGrants(Arguments, frozen=True, kw_only=True):
    """`all` shows those that ended too."""

    all: bool = False


class EndGrant(Arguments, frozen=True, kw_only=True):
    """By its id."""

    id: Text


class SetHold(Arguments, frozen=True, kw_only=True):
    """`since` and `until` are moments (RFC 3339); without one the hold reaches as far as the log."""

    since: Text = ""
    until: Text = ""


class LiftHold(Arguments, frozen=True, kw_only=True):
    """By its id."""

    id: Text


class ListHolds(Arguments, frozen=True, kw_only=True):
    """Nothing of its own."""


class ModelAct(Arguments, frozen=True, kw_only=True):
    """A model's name and the SHA-256 of its file, 64 hex digits. `yarn` is what its context is to be stretched by, and
    of how many tokens (0: what the file states); "" for nothing.
    """

    name: Text
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    yarn: Annotated[str, Meta(pattern=r"^([0-9.e+-]{1,16}:[0-9]{1,8})?$")] = ""


class SearchAct(Arguments, frozen=True, kw_only=True):
    """What was asked of the log, its hash, how many records it found, and the name it was kept under."""

    filter: Annotated[str, Meta(max_length=512)] = ""
    filter_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    hits: Annotated[int, Meta(ge=0)]
    saved: Text = ""


class ExportAct(SearchAct, frozen=True, kw_only=True):
    """`opened`: with names and addresses; `bundle`: with proofs."""

    format: Text
    opened: bool = False
    bundle: bool = False


class QueryAct(Arguments, frozen=True, kw_only=True):
    """A search kept under a name."""

    name: Text
    filter: Annotated[str, Meta(max_length=512)] = ""
    filter_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class ReviewAct(Arguments, frozen=True, kw_only=True):
    """The sign-off of a review: what was asked, how many fit, the stretches looked at; `reason` is the remark."""

    filter: Annotated[str, Meta(max_length=512)] = ""
    filter_hash: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    hits: Annotated[int, Meta(ge=0)]
    ranges: Annotated[str, Meta(max_length=4096)]


class NamePerson(Arguments, frozen=True, kw_only=True):
    """By a pseudonym."""

    pseudonym: Text


class SetRetention(Arguments, frozen=True, kw_only=True):
    """For how many days the log is kept from now on."""

    days: int


class RotateAuditKey(Arguments, frozen=True, kw_only=True):
    """Nothing of its own."""


class RetireChain(Arguments, frozen=True, kw_only=True):
    """The chain's name, as its folder is called."""

    chain: Text


class HashAct(Arguments, frozen=True, kw_only=True):
    """Whose digest of a text is about to be told, and the digest."""

    team: Text
    digest: Text


class ApproveAct(Arguments, frozen=True, kw_only=True):
    """The request's id, and the signature's file in base64."""

    id: Text
    signature: Annotated[str, Meta(max_length=24 * 1024)]


class ListRequests(Arguments, frozen=True, kw_only=True):
    """Nothing of its own."""


class ReportAct(Arguments, frozen=True, kw_only=True):
    """A report of the log: which, of what week or month, its SHA-256, and by what it was signed (empty: not)."""

    kind: Annotated[str, Meta(pattern="^(audit|cost)$")]
    period: Annotated[str, Meta(pattern="^[0-9]{4}-(W?[0-9]{2})$")]
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    signed: Annotated[str, Meta(pattern="^(|ssh|audit key)$")] = ""


class ListTeams(Arguments, frozen=True, kw_only=True):
    """Nothing of its own."""


A = TypeVar("A", bound=Arguments)


def read_arguments(arguments: dict[str, Any], shape: type[A]) -> A:
    """`arguments` as `shape`. Raises ActRefused for anything unknown, missing, too long or unprintable."""
    try:
        read = msgspec.convert(arguments, shape)
    except msgspec.ValidationError as fault:
        told = worded(f"bad argument: {fault}", "argument_unfit", fault=str(fault))
        raise ActRefused("bad_argument", told) from fault
    for name in shape.__struct_fields__:
        value = getattr(read, name)
        # Control characters would let a purpose rewrite the terminal of whoever lists keys.
        if isinstance(value, str) and not value.isprintable():
            told = worded(f"{name} holds characters that cannot be printed", "argument_unprintable", field=name)
            raise ActRefused("bad_argument", told)
        if isinstance(value, str) and any(find_api_keys(value)):
            text = f"{name} holds a whole key: give its id only, the part after corral_"
            raise ActRefused("bad_argument", worded(text, "holds_key", field=name))
    return read


def read_span_s(name: str, text: str, least_s: float, most_s: float) -> float:
    """The duration in `text`, within bounds. Raises ActRefused."""
    try:
        span_s = read_duration_s(text)
    except ValueError as fault:
        told = worded(f"{name}: {fault}", "of_field", field=name, why=line_of(fault))
        raise ActRefused("bad_argument", told) from fault
    if not least_s <= span_s <= most_s:
        least, most = f"{least_s:.0f}", f"{most_s:.0f}"
        line = f"{name} must be {least}s to {most}s, not {text}"
        raise ActRefused("bad_argument", worded(line, "span_bounds", field=name, least=least, most=most, given=text))
    return span_s
