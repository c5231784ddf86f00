"""How far the log is proven: what a checkpoint covers, what left this host, and what the last verification found.

The first two are read and judged anew for each page: the chain's last checkpoint with its signature, and the notes of
what each place took (gateway/audit/anchors.py), which are the host's own word. A verification reads every line, so it
runs as the command does, `corral audit verify`, in a process of its own with little priority, one at a time, when
somebody asks; what it found stays here with its time until the next, or until the gateway ends.
"""

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from msgspec import Struct

from gateway.audit.anchor_words import ANCHORED_NAME, MAX_STATE_BYTES, anchor_words
from gateway.audit.audit_files import is_chain
from gateway.audit.audit_key import UnfitAuditKey
from gateway.audit.log_proofs import NotProvable, latest_checkpoint
from gateway.audit.trusted_keys import TrustedKeys, read_trusted_keys
from gateway.homes.home import Home
from policies.auditing.signed_note import NoteBroken
from policies.worded import Line

VERIFY_S = 3600.0
"""Fifty million lines at the least rate that `make bench-audit` asks for, four times over."""
NICE = 10
MAX_CHAINS = 200


class Anchored(Struct, frozen=True):
    """What one place took last: lines from the start, and when (Unix seconds)."""

    name: str
    off_host: bool
    size: int
    at_s: float


class ChainState(Struct, frozen=True, kw_only=True):
    """One chain. `covered` lines from its start stand under a checkpoint that is signed well, else `fault` says why."""

    chain: str
    covered: int = 0
    fault: str = ""
    anchored: tuple[Anchored, ...] = ()
    words: Line = ""

    @property
    def off_host(self) -> Anchored | None:
        """The place beyond this host that has the most."""
        return max((each for each in self.anchored if each.off_host), key=lambda each: each.size, default=None)


class Verified(Struct, frozen=True, kw_only=True):
    """What a verification found of one chain: proven to `proven_to` by a signed root, sound to `last_seq`."""

    chain: str
    status: int
    last_seq: int = -1
    proven_to: int = -1
    records: int = 0
    fault: str = ""


class Verification(Struct, frozen=True, kw_only=True):
    """One run, ended at `at_us`. `status` as the command's: 0 whole, 1 tampered, 2 gap by policy, 3 unreadable."""

    at_us: int
    status: int
    chains: dict[str, Verified] = {}
    complaints: tuple[str, ...] = ()


class Verifier:
    """Runs verifications of one home's log, one at a time."""

    def __init__(self, home: Home, seconds: float = VERIFY_S) -> None:
        self._home = home
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None
        self.last: Verification | None = None

    @property
    def running(self) -> bool:
        """Whether one is under way."""
        return self._task is not None and not self._task.done()

    def start(self, clock_us: Any) -> None:
        """Begin one, unless one runs. `clock_us` tells the time when it ends, in Unix microseconds."""
        if not self.running:
            self._task = asyncio.create_task(self._run(clock_us))

    async def ended(self) -> None:
        """Wait for the one that runs."""
        if self._task is not None:
            await self._task

    async def _run(self, clock_us: Any) -> None:
        try:
            status, answer = await asyncio.wait_for(self._command(), self._seconds)
            self.last = read_verification(status, answer, clock_us())
        except (TimeoutError, OSError, ValueError) as fault:
            cause = f"the verification did not end well: {fault or type(fault).__name__}"
            self.last = Verification(at_us=clock_us(), status=3, complaints=(cause,))

    async def _command(self) -> tuple[int, bytes]:
        words = (sys.executable, "-I", "-m", "gateway.cli.main", "audit", "verify", str(self._home.audit), "--json")
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            with contextlib.suppress(OSError):  # it may have ended already
                os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
            answer, _ = await process.communicate()  # its size is bound by the number of chains
            return await process.wait(), answer
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


def read_verification(status: int, answer: bytes, at_us: int) -> Verification:
    """What the command said. Raises ValueError when it is no such answer."""
    try:
        found = json.loads(answer)
    except ValueError:
        raise ValueError(answer[:300].decode("utf-8", "replace").strip() or f"exit status {status}") from None
    chains = {
        str(each["chain"]): Verified(
            chain=str(each["chain"]),
            status=int(each["status"]),
            last_seq=int(each["last_seq"]),
            proven_to=int(each["proven"]) - 1,
            records=int(each["records"]),
            fault=str((each["fault"] or {}).get("text", "")),
        )
        for each in found["chains"][:MAX_CHAINS]
    }
    return Verification(at_us=at_us, status=status, chains=chains, complaints=tuple(map(str, found["complaints"])))


def chain_states(home: Home) -> list[ChainState]:
    """All chains of a home, by name. Blocks. Raises OSError."""
    folders = sorted(each for each in home.audit.iterdir() if each.is_dir() and is_chain(each))
    keys = _keys(home.audit)
    return [_state(folder, keys) for folder in folders[:MAX_CHAINS]]


def chain_state(home: Home, chain: str) -> ChainState:
    """One chain; `chain` is a name that the index knows. Blocks. Raises OSError."""
    return _state(home.audit / chain, _keys(home.audit))


def _keys(audit: Path) -> TrustedKeys:
    try:
        return read_trusted_keys(audit)
    except UnfitAuditKey as fault:
        return TrustedKeys(fault=str(fault))


def _state(folder: Path, keys: TrustedKeys) -> ChainState:
    covered, fault = 0, keys.fault
    if not fault:
        try:
            covered = latest_checkpoint(folder, keys.of(folder.name)).checkpoint.size
        except (NotProvable, NoteBroken) as unproven:
            fault = str(unproven)
    words = anchor_words([folder])
    return ChainState(chain=folder.name, covered=covered, fault=fault, anchored=_anchored(folder), words=words)


def _anchored(folder: Path) -> tuple[Anchored, ...]:
    """What the gateway noted of each place; a note that is none is left out."""
    try:
        with (folder / ANCHORED_NAME).open("rb") as file:
            found = json.loads(file.read(MAX_STATE_BYTES))
        return tuple(
            Anchored(str(name), each["off_host"] is True, int(each["size"]), float(each["at_s"]))
            for name, each in sorted(found.items())
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return ()
