"""What it costs to encipher the personal fields of a request's record, its persons known: `MOST_US` of one processor.

The record is a completed request's, with a name, a client address and a connection's end to seal. Callers take turns,
so that the cache is used and not one entry of it. Told beside it: the first record of a person, a record opened again,
and the one write of all keys before their lines. Times are of the thread's processor, which other processes add little
to; the bound holds for the median of rounds.
"""

import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from gateway.audit.persons import Persons
from policies.audit_record import Action, Actor, Decision, RequestFacts, Result, Source, Stamp, request_record
from policies.auditing.person_fields import opened_entry, sealed_entry

MOST_US = 50.0
STAMP = Stamp(1_795_000_000_000_000, 1, "boot")
Entry = dict[str, Any]


class Size(NamedTuple):
    """How many persons call, and how often each of them."""

    persons: int
    rounds: int


FULL = Size(persons=2_000, rounds=25)


def prove(size: Size = FULL) -> dict[str, Any]:
    """Run it. Raises AssertionError when sealing costs more than `MOST_US`."""
    figures = measure(size)
    print(figures, flush=True)
    assert figures["known_us"] <= MOST_US, f"sealing a record costs {figures['known_us']} microseconds"
    return figures


def measure(size: Size) -> dict[str, Any]:
    """The figures. Raises AssertionError when a record does not come back as it was."""
    entries = [_record(number) for number in range(size.persons)]
    with tempfile.TemporaryDirectory() as name, closing(_opened(Path(name))) as persons:
        first = _each_us(entries, lambda entry: sealed_entry(entry, persons))
        before = time.perf_counter()
        persons.flush()
        written_ms = (time.perf_counter() - before) * 1e3
        known = [_each_us(entries, lambda entry: sealed_entry(entry, persons)) for _ in range(size.rounds)]
        sealed = [sealed_entry(entry, persons) for entry in entries]
        opened_us = _each_us(sealed, lambda entry: opened_entry(entry, persons.open))
        for entry, line in zip(entries, sealed, strict=True):
            opened = opened_entry(line, persons.open)
            del opened["actor"]["pseudonym"]
            assert opened == entry
    return {
        "persons": size.persons,
        "records": size.persons * (size.rounds + 2),
        "first_us": round(first, 1),
        "known_us": round(statistics.median(known), 1),
        "opened_us": round(opened_us, 1),
        "keys_written_ms": round(written_ms, 1),
    }


def _opened(folder: Path) -> Persons:
    return Persons.at(folder / "persons.db", folder / "persons.key")


def _each_us(entries: list[Entry], work: Callable[[Entry], Entry]) -> float:
    """The mean time of one, in microseconds of this thread's processor."""
    before = time.thread_time_ns()
    for entry in entries:
        work(entry)
    return (time.thread_time_ns() - before) / 1e3 / len(entries)


def _record(number: int) -> Entry:
    address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    facts = RequestFacts(
        request_id="019dbbf1-0000-7000-8000-000000000000",
        actor=Actor(kind="subject", name=f"person-{number}@corp.example", issuer="https://idp", team="t", method="jwt"),
        source=Source(ip=address, peer=address, listener="public", tls_version="TLSv1.3"),
        action=Action(verb="POST", route="/api/chat", model="m:latest", model_digest="d" * 64),
        params={"stream": True, "messages": 4},
    )
    result = Result(status=200, bytes_in=900, bytes_out=4_000, prompt_tokens=200, output_tokens=400, dur_ms=900.0)
    return {"instance": "host-0"} | request_record("request.completed", STAMP, facts, Decision(effect="allow"), result)
