"""People with SSH keys, who sign with the real ssh-keygen."""

import shutil
import subprocess
from pathlib import Path

import pytest

from policies.policy_file.ssh_signature import Signer, read_signer

SSH_KEYGEN = shutil.which("ssh-keygen")
needs_ssh_keygen = pytest.mark.skipif(SSH_KEYGEN is None, reason="ssh-keygen (Debian: openssh-client) is not here")
NAMESPACE = "corral-policy"


class Person:
    """Somebody called `name` with a key of their own in `folder`."""

    def __init__(self, folder: Path, name: str, kind: str = "ed25519", *options: str) -> None:
        self.key = folder / name
        self._run("-q", "-t", kind, *options, "-N", "", "-C", name, "-f", self.key)
        self.public = Path(f"{self.key}.pub").read_text()

    @property
    def signer(self) -> Signer:
        return read_signer(self.public)

    def sign(self, message: bytes, namespace: str = NAMESPACE, *options: str) -> bytes:
        """The signature's file."""
        return self._run("-Y", "sign", "-q", "-n", namespace, "-f", self.key, *options, given=message)

    @staticmethod
    def _run(*words: object, given: bytes = b"") -> bytes:
        command = [str(SSH_KEYGEN), *map(str, words)]
        return subprocess.run(command, input=given, check=True, capture_output=True, timeout=120).stdout
