"""A question to the log: what a search, a followed tail and an export are asked to show.

Decides what a filter's words mean and whether a record fits. How an index answers it is `query`'s business.

Rules:
 (1) All conditions of a filter must hold; one that is not given always does.
 (2) Times: from `since` on, up to but not at `until`. A moment is RFC 3339 with its offset, a date (midnight in UTC),
     `today`, `yesterday` (their midnight in UTC) or a span back from now such as 24h, 7d.
 (3) Names are compared whole and as the log writes them, case and all. Free text fits when the record has all of its
     words, in any order and case; a word that ends in `*` also stands for all that begin with it.
 (4) A network holds the addresses of its own version only. A record that says no address is in none.
 (5) `ask` is one of the questions of `questions`, under its word.
 (6) Who may see some teams only asks with `teams`: a record of another team, or of none, never fits.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from ipaddress import ip_address, ip_network
from typing import Any

from msgspec import Struct

from policies.auditing.questions import QUESTIONS, answers
from policies.auditing.record_facts import EPOCH, MICROSECOND, Facts, packed_address, words_of
from policies.worded import line_of, worded

OUTCOMES = ("allow", "deny", "limit", "shed", "error")
STAGES = ("authorized", "completed", "denied", "aborted", "admin", "system")
EXACT = ("team", "key", "model", "route", "outcome", "reason", "event", "stage", "request")
"""Conditions that are one text, compared whole."""
NAMES = ("since", "until", *EXACT, "actor", "address", "text", "ask")
MAX_WORDS = 16
MAX_TEXT = 512
_SPAN = re.compile(r"([0-9]{1,6})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}


class Network(Struct, frozen=True):
    """The addresses from `low` to `high`, both as `record_facts.packed` writes them; `text` is how it was asked."""

    text: str
    low: bytes
    high: bytes

    @property
    def single(self) -> bool:
        """Whether it is one address."""
        return self.low == self.high


class Word(Struct, frozen=True):
    """One word to be found; `prefix`: whatever begins with it will do."""

    text: str
    prefix: bool = False


class Filter(Struct, frozen=True, kw_only=True):
    """What is asked; empty or None: not asked. `actors` are the pseudonyms and the name that mean one person.

    `teams` are all that whoever asks may see (rule 6); None for who may see everything.
    """

    since_us: int | None = None
    until_us: int | None = None
    team: str = ""
    key: str = ""
    model: str = ""
    route: str = ""
    outcome: str = ""
    reason: str = ""
    event: str = ""
    stage: str = ""
    request: str = ""
    actors: tuple[str, ...] = ()
    network: Network | None = None
    words: tuple[Word, ...] = ()
    ask: str = ""
    teams: tuple[str, ...] | None = None

    def exact(self) -> dict[str, str]:
        """The conditions that are one text, by name."""
        return {name: value for name in EXACT if (value := getattr(self, name))}


def read_filter(
    asked: Mapping[str, str], now_us: int, known_as: Callable[[str], tuple[str, ...]] = lambda _name: ()
) -> Filter:
    """The filter that `asked` means; its names are those of `NAMES`, empty texts are conditions not given.

    `known_as` answers the pseudonyms of a name. Raises ValueError with a sentence for an operator.
    """
    for name, value in asked.items():
        _require_fit(name, value)
    since_us, until_us = (_time_us(name, asked.get(name, ""), now_us) for name in ("since", "until"))
    if since_us is not None and until_us is not None and since_us >= until_us:
        raise ValueError(worded("since must lie before until", "since_after_until"))
    actor, address, text = (asked.get(name, "") for name in ("actor", "address", "text"))
    exact: dict[str, Any] = {name: value for name in EXACT if (value := asked.get(name, ""))}
    return Filter(
        since_us=since_us,
        until_us=until_us,
        actors=tuple(dict.fromkeys((*known_as(actor), actor))) if actor else (),
        network=read_network(address) if address else None,
        words=read_words(text) if text else (),
        ask=asked.get("ask", ""),
        **exact,
    )


def matches(asked: Filter, facts: Facts) -> bool:
    """Whether a record with these facts is one that was asked for."""
    return (
        (asked.since_us is None or facts.at_us >= asked.since_us)
        and (asked.until_us is None or facts.at_us < asked.until_us)
        and all(getattr(facts, name) == value for name, value in asked.exact().items())
        and (not asked.actors or facts.actor in asked.actors)
        and (asked.network is None or asked.network.low <= facts.address <= asked.network.high)
        and (asked.teams is None or facts.team in asked.teams)
        and (not asked.ask or answers(asked.ask, facts.event, facts.reason))
        and (not asked.words or _has_words(asked.words, facts.words()))
    )


def read_time_us(text: str, now_us: int) -> int:
    """The Unix microsecond that `text` means. Raises ValueError with a sentence for an operator."""
    span = _SPAN.fullmatch(text)
    if span:
        return max(0, now_us - int(span[1]) * _SECONDS[span[2]] * 1_000_000)
    today = (EPOCH + now_us * MICROSECOND).date()
    dates = {"today": today, "yesterday": today - timedelta(days=1)}
    moment = datetime.combine(dates[text], time(), UTC) if text in dates else _moment(text)
    if moment is None or moment < EPOCH:
        line = (
            f"{text!r} is no time: write a span such as 24h, today, yesterday, a date such as 2026-11-22 (UTC) or a "
            "moment with its offset such as 2026-11-22T18:00:00Z"
        )
        raise ValueError(worded(line, "time_unfit", given=text))
    return (moment - EPOCH) // MICROSECOND


def read_network(text: str) -> Network:
    """The network in `text`, an address being one of a single address. Raises ValueError with a sentence."""
    try:
        found = ip_network(text, strict=False)
    except ValueError:
        line = f"{text!r} is no address and no network such as 192.0.2.0/24 or 2001:db8::/32"
        raise ValueError(worded(line, "address_unfit", given=text)) from None
    if found.network_address != ip_address(text.partition("/")[0]):
        line = f"{text!r} has bits set beyond its length: the network is {found}"
        raise ValueError(worded(line, "address_bits", given=text, network=str(found)))
    low, high = packed_address(found.network_address), packed_address(found.broadcast_address)
    if low[0] != high[0]:  # an IPv6 network that holds all of IPv4 at its end and more before it
        high = bytes((found.version,)) + found.broadcast_address.packed
    return Network(text, low, high)


def read_words(text: str) -> tuple[Word, ...]:
    """The words of a free search. Raises ValueError for a text that has none, or too many."""
    words = []
    for piece in text.split():
        found = words_of(piece)
        words += [Word(each) for each in found[:-1]]
        words += [Word(each, prefix=piece.endswith("*")) for each in found[-1:]]
    words = list(dict.fromkeys(words))
    if not words:
        line = f"{text!r} has no word to search for: a word is made of letters and digits"
        raise ValueError(worded(line, "words_none", given=text))
    if len(words) > MAX_WORDS:
        line = f"a search takes at most {MAX_WORDS} words, not {len(words)}"
        raise ValueError(worded(line, "words_many", most=MAX_WORDS, count=len(words)))
    return tuple(words)


def _require_fit(name: str, value: str) -> None:
    """Raises ValueError for what no record can say."""
    if name not in NAMES:
        every = ", ".join(NAMES)
        line = f"{name!r} is no condition: there are {every}"
        raise ValueError(worded(line, "condition_unknown", name=name, every=every))
    if len(value) > MAX_TEXT:
        line = f"{name} is longer than {MAX_TEXT} characters"
        raise ValueError(worded(line, "condition_long", field=name, most=MAX_TEXT))
    allowed = {"outcome": OUTCOMES, "stage": STAGES, "ask": tuple(QUESTIONS)}.get(name)
    if value and allowed is not None and value not in allowed:
        every = ", ".join(allowed)
        line = f"{name} is one of {every}, not {value!r}"
        raise ValueError(worded(line, "condition_choice", field=name, every=every, given=value))


def _time_us(name: str, text: str, now_us: int) -> int | None:
    try:
        return read_time_us(text, now_us) if text else None
    except ValueError as fault:
        raise ValueError(worded(f"{name}: {fault}", "of_field", field=name, why=line_of(fault))) from None


def _moment(text: str) -> datetime | None:
    """A date's midnight in UTC, or a moment that says its offset."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return moment.replace(tzinfo=UTC)
    return moment if moment.tzinfo is not None else None


def _has_words(asked: tuple[Word, ...], words: set[str]) -> bool:
    return all(
        word.text in words or (word.prefix and any(each.startswith(word.text) for each in words)) for word in asked
    )
