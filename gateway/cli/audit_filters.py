"""The conditions that `audit search`, `tail` and `export` share, and what they mean on one home."""

import argparse
import time

from gateway.cli.output import BAD_INPUT, CommandFault
from policies.audit_record import MAX_REMARK, clean
from policies.auditing.search_filter import EXACT, NAMES, OUTCOMES, STAGES, Filter, read_filter
from policies.credentials.api_key import find_api_keys

_MEANT = {
    "since": "from this time on: 24h, yesterday, 2026-11-22, 2026-11-22T18:00:00Z",
    "until": "before this time",
    "team": "the caller's team, or the one an admin act was about",
    "key": "a key's id: what was done with it and to it",
    "actor": "a person's name, or their pseudonym",
    "address": "the client's address, or a network such as 192.0.2.0/24",
    "model": "the model's name",
    "route": "the route's template, such as /api/chat",
    "outcome": ", ".join(OUTCOMES),
    "reason": "the code of the reason",
    "event": "such as policy.changed",
    "stage": ", ".join(STAGES),
    "request": "a request's id: all its stages",
    "text": "words anywhere in what the record says of its matter, all of them; 'word*' for a beginning",
}


def filter_options() -> argparse.ArgumentParser:
    """A parent parser with all conditions; they all must hold."""
    parent = argparse.ArgumentParser(add_help=False)
    group = parent.add_argument_group("conditions (all must hold)")
    for name in NAMES:
        group.add_argument(f"--{name}", default="", metavar="WORDS" if name == "text" else "X", help=_MEANT[name])
    return parent


def asked_of(arguments: argparse.Namespace) -> dict[str, str]:
    """The conditions given, as the log would write them. Raises CommandFault."""
    given = {name: str(getattr(arguments, name)) for name in NAMES if getattr(arguments, name)}
    for name, value in given.items():
        if any(find_api_keys(value)):
            raise CommandFault(
                f"--{name} holds a whole key: give its id only, the part after corral_", status=BAD_INPUT
            )
    return {name: _as_written(name, value) for name, value in given.items()}


def filter_of(asked: dict[str, str], pseudonyms: tuple[str, ...] = ()) -> Filter:
    """What is asked, now. `pseudonyms` are those of the actor's name. Raises CommandFault."""
    try:
        return read_filter(asked, time.time_ns() // 1000, lambda _name: pseudonyms)
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None


def _as_written(name: str, value: str) -> str:
    """A text as records hold it: escaped and cut to length."""
    if name in ("reason", "text"):
        return clean(value, MAX_REMARK)
    return clean(value) if name in (*EXACT, "actor") else value
