"""The policy last taken, kept beside the sockets, so that a gateway that crashed comes back under it.

While a gateway runs, a policy.yaml with a fault changes nothing: the old policy stays. Without this, a crash
meanwhile would end the service, since the next gateway could not start. Rules:

 1. What is kept counts only within one `corral serve`, which forgets it before its first gateway starts and
    refuses a file with a fault itself.
 2. It is judged like the file: parsed again, and its signatures verified again where somebody has to sign.
 3. A policy that cannot be kept is in force all the same; then nothing is kept, rather than an older one.
"""

import contextlib
import os
from pathlib import Path

import msgspec
import structlog

from gateway.configuration.config import ConfigFaults, policy_hash
from gateway.homes.private_file import write_private
from gateway.policy_file.policy_reading import PolicyFile, Written
from gateway.policy_in_force import PolicyInForce

log = structlog.get_logger("corral.policy")

KEPT_FILE = "policy.kept"


class KeptPolicy:
    """What is kept in `run`, the home's folder for what runs now."""

    def __init__(self, run: Path) -> None:
        self._path = run / KEPT_FILE

    def keep(self, written: Written) -> None:
        """Keep what was taken, in place of what was kept."""
        unnamed = self._path.with_name(f"{KEPT_FILE}.{os.getpid()}")
        try:
            unnamed.unlink(missing_ok=True)
            write_private(unnamed, msgspec.msgpack.encode(written), mode=0o600)
            unnamed.rename(self._path)
        except OSError as fault:
            log.error("policy_not_kept", cause=fault.strerror)
            self.forget()

    def forget(self) -> None:
        """Keep nothing."""
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def load(self, file: PolicyFile) -> PolicyInForce:
        """The policy in `file`, kept from now on; where that cannot be taken, the one that was kept.

        Raises the ConfigFaults of `file` when nothing is kept that may be taken.
        """
        try:
            written = file.read()
            found = file.judge(written)
        except ConfigFaults as faults:
            kept = self._judged(file)
            if kept is None:
                raise
            log.error("policy_kept", hash=kept.hash, cause=faults.faults[0])
            return kept
        self.keep(written)
        return found

    def _judged(self, file: PolicyFile) -> PolicyInForce | None:
        try:
            kept = msgspec.msgpack.decode(self._path.read_bytes(), type=Written)
            return file.judge(msgspec.structs.replace(kept, hash=policy_hash(kept.data)))
        except (OSError, msgspec.DecodeError, ConfigFaults):
            return None
