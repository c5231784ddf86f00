"""What the `ollama` command sends under OLLAMA_AUTH=1: the signing of its Go client, written again for tests.

Made from api/client.go (`do`, `stream`) and auth/auth.go (`Sign`) of ollama/ollama: sign `METHOD,PATH?ts=NOW`
with the key of ~/.ollama/id_ed25519; Authorization is the second word of the key's authorized_keys line, a
colon, and the raw signature in padded base64; `ts` becomes the only query parameter. The command itself is not run.
"""

import base64

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat


class OllamaClient:
    """One user's key."""

    def __init__(self, seed: int = 1) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)

    @property
    def line(self) -> str:
        """The content of id_ed25519.pub."""
        return self._key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode() + " me@laptop\n"

    @property
    def blob(self) -> bytes:
        return base64.b64decode(self.line.split()[1])

    def sign(self, method: str, path: str, now_s: float) -> tuple[str, str]:
        """The target that is sent, and its Authorization."""
        challenge = f"{method},{path}?ts={int(now_s)}"
        signature = base64.b64encode(self._key.sign(challenge.encode())).decode()
        return f"{path}?ts={int(now_s)}", f"{self.line.split()[1]}:{signature}"
