"""The conditions that `audit search`, `tail` and `export` share, and what they mean on one home."""

import argparse
import time

from gateway.cli.output import BAD_INPUT, CommandFault
from policies.auditing.conditions import BadCondition, as_written
from policies.auditing.questions import QUESTIONS
from policies.auditing.search_filter import NAMES, OUTCOMES, STAGES, Filter, read_filter

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
    "ask": f"one of the questions {', '.join(QUESTIONS)}",
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
    try:
        return as_written({name: str(getattr(arguments, name)) for name in NAMES})
    except BadCondition as fault:
        raise CommandFault(f"--{fault}", status=BAD_INPUT) from None


def filter_of(asked: dict[str, str], pseudonyms: tuple[str, ...] = ()) -> Filter:
    """What is asked, now. `pseudonyms` are those of the actor's name. Raises CommandFault."""
    try:
        return read_filter(asked, time.time_ns() // 1000, lambda _name: pseudonyms)
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
