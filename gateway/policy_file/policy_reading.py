"""From policy.yaml on disk to a policy that may be taken, at the start of a gateway as while it runs.

Rules, in this order:
 1. The bytes are read once, and again if the file changed meanwhile: what is hashed is what is checked,
    parsed and used.
 2. With signers (`policy.signers` in config.yaml) the bytes need valid signatures of as many different
    signers as are required, before anything in them is parsed. They stand beside the file, as
    `policy.yaml.sig` or `policy.yaml.ANYTHING.sig`; which file holds whose does not matter.
 3. The bytes are a policy without a fault, whose issuers are hosts that `egress` in config.yaml lets be called.
 4. With signers, a policy that keeps more of what is said, or for a shorter time, than the one in force before needs
    the signatures of two (policies/approval/content_change.py), however few are required otherwise.
"""

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from msgspec import Struct

from gateway.configuration.config import ConfigFaults, parse_policy, policy_hash, read_file
from gateway.configuration.settings import Config, SignerSettings
from gateway.policy_file.content_terms import ContentTermsBook
from gateway.policy_in_force import PolicyInForce
from policies.addresses.egress import ANYWHERE, Egress
from policies.approval.content_change import NEEDED, changes_for_two
from policies.policy import Policy
from policies.policy_file.ssh_signature import MAX_SIGNATURE_BYTES, find_signers

NAMESPACE = "corral-policy"
"""What `ssh-keygen -Y sign -n` must name, so that no signature made for something else counts."""
MAX_SIGNATURES = 64
MAX_READS = 100
"""A file that changes under as many reads in a row is not one that anybody has finished."""

FileState = tuple[int, ...] | None
"""What tells one state of a file from another: mode, device, inode, size, both times; None when there is none."""
Writers = Literal["none", "some", "unknown"]


class Unsigned(ConfigFaults):
    """The file has not enough valid signatures."""


class Written(Struct, frozen=True):
    """What stood in the files at one moment: the policy's bytes, their SHA-256 in hex, and the signatures."""

    data: bytes
    hash: str
    signatures: tuple[bytes, ...]


class PolicyFile:
    """policy.yaml at `path`, with the signers that its policy needs, if any.

    `terms` is what the policy in force before keeps of content; without it (no home is meant) rule 4 is not judged.
    `egress` says which hosts its issuers may be.
    """

    def __init__(
        self,
        path: Path,
        signers: SignerSettings | None,
        terms: ContentTermsBook | None = None,
        egress: Egress = ANYWHERE,
    ) -> None:
        self.path = path
        self._signers = signers
        self._terms = terms
        self._egress = egress

    def states(self) -> tuple[FileState, ...]:
        """The state of the file and of each signature; another value means that something changed."""
        return tuple(map(file_state, (self.path, *self._signature_paths())))

    def read(self) -> Written:
        """What stands there now, in one piece. Raises ConfigFaults."""
        for _ in range(MAX_READS):
            before = self.states()
            data = read_file(self.path)
            signatures = tuple(_read_signatures(self._signature_paths()))
            if self.states() == before:
                return Written(data, policy_hash(data), signatures)
        raise ConfigFaults(f"{self.path}: changes without an end: write it elsewhere, then rename it to this place")

    def judge(self, written: Written) -> PolicyInForce:
        """The policy in `written`, with its authors. Raises Unsigned, or ConfigFaults for all its faults."""
        authors = self._authors(written)
        policy = parse_policy(written.data, self.path, self._egress)
        self._demand_two(policy, authors)
        if not authors:
            return PolicyInForce(policy=policy, hash=written.hash)
        return PolicyInForce(policy=policy, hash=written.hash, author=", ".join(authors))

    def load(self) -> PolicyInForce:
        """`read` and `judge`, as a gateway starts. Raises ConfigFaults."""
        return self.judge(self.read())

    def _authors(self, written: Written) -> tuple[str, ...]:
        """Who signed; nobody when no signers are configured. Raises Unsigned."""
        if self._signers is None:
            return ()
        found = find_signers(written.data, written.signatures, self._signers.read(), NAMESPACE)
        if len(found.names) >= self._signers.required:
            return found.names
        by = f" ({', '.join(found.names)})" if found.names else ""
        unfit = "".join(f"; one is {reason}" for reason in sorted(set(found.unfit))[:4])
        raise Unsigned(
            f"{self.path}: has {len(found.names)} of {self._signers.required} signatures that config.yaml demands"
            f"{by}{unfit}: have it signed with 'ssh-keygen -Y sign -n {NAMESPACE} -f KEY {self.path.name}'"
        )

    def _demand_two(self, policy: Policy, authors: tuple[str, ...]) -> None:
        """Rule 4. Raises Unsigned."""
        if self._signers is None or self._terms is None or len(authors) >= NEEDED:
            return
        if changes := changes_for_two(self._terms.terms(), policy):
            raise Unsigned(
                "\n".join(
                    f"{self.path}: {each}: that needs the signatures of {NEEDED} persons, only {', '.join(authors)} "
                    f"has signed: have another signer run 'ssh-keygen -Y sign -n {NAMESPACE} -f KEY {self.path.name}'"
                    for each in changes
                )
            )

    def _signature_paths(self) -> tuple[Path, ...]:
        """The signatures' files, the first `MAX_SIGNATURES` by name; none when nobody has to sign."""
        if self._signers is None:
            return ()
        try:
            with os.scandir(self.path.parent) as entries:
                names = sorted(entry.name for entry in entries if self._is_signature(entry.name))
        except OSError:
            return ()  # the policy is then not there either, and read() says so
        return tuple(self.path.with_name(name) for name in names[:MAX_SIGNATURES])

    def _is_signature(self, name: str) -> bool:
        return name.startswith(f"{self.path.name}.") and name.endswith(".sig")


def open_policy_file(path: Path, config: Config, home: Path) -> PolicyFile:
    """The policy file of the home at `home`, judged by all that `config` says of it."""
    return PolicyFile(path, config.policy.signers, ContentTermsBook(home), config.egress)


def file_state(path: Path) -> FileState:
    """The state of the file at `path`; the first number is its mode. A folder that is closed to us shows none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mode, found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def find_writers(path: Path) -> Writers:
    """Whether somebody has the file open for writing, so that it may be half written.

    The kernel grants a read lease (fcntl(2)) only where nobody has. `unknown` where it grants none for
    another reason, such as a file of somebody else; some network file systems always say `some`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return "none"
    except OSError:
        return "unknown"
    try:
        # A writer who comes in this instant would have us told by SIGIO, which ends a process; SIGURG does nothing.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return "some"
    except OSError:
        return "unknown"
    else:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        return "none"
    finally:
        os.close(descriptor)


def _read_signatures(paths: tuple[Path, ...]) -> Iterator[bytes]:
    """The files' bytes; one that cannot be read, is no file or is too long, is no signature."""
    for path in paths:
        with contextlib.suppress(ConfigFaults):
            data = read_file(path)
            if len(data) <= MAX_SIGNATURE_BYTES:
                yield data
