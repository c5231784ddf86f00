"""The lines that a new user pastes into another shell: the key, a first call, and the clients' variables."""

import json
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from setup.places import CORRAL, PYTHON

QUESTION = {"role": "user", "content": "Write one sentence about the sea."}
PRINT_KEY = 'import json, sys; print(json.load(sys.stdin)["key"])'


@dataclass(frozen=True)
class PasteLines:
    """Lines for one gateway. Paths are absolute: the other shell may be anywhere."""

    home: Path
    url: str
    model: str

    def with_key(self, key: str) -> str:
        """The lines with the key itself, for a terminal; the only place where it is ever shown."""
        return self._lines(f"KEY={quote(key)}")

    def with_key_file(self, left: Path) -> str:
        """The lines with the key read from the file that `corral init` left; it goes with its first use."""
        return self._lines(f'KEY="$(cat {quote(str(left))})"')

    def with_another_key(self) -> str:
        """The lines with a key made by the shell they are pasted into: an earlier one can't be shown again."""
        create = f"{quote(str(CORRAL))} keys create --home {quote(str(self.home))} --team default --json"
        return self._lines(f'KEY="$({create} | {quote(str(PYTHON))} -c {quote(PRINT_KEY)})"')

    def _lines(self, key_line: str) -> str:
        ca = quote(str(self.home / "tls" / "ca.pem"))
        body = {"model": self.model, "stream": False, "options": {"temperature": 0}, "messages": [QUESTION]}
        return "\n".join(
            (
                f"\nCorral serves {self.model} on {self.url}. Paste into another shell:\n",
                key_line,
                f'curl --cacert {ca} -H "Authorization: Bearer $KEY" {self.url}/api/chat -d {quote(json.dumps(body))}',
                "\nand for the ollama and openai clients:\n",
                f"export SSL_CERT_FILE={ca}",
                f'export OLLAMA_HOST={self.url} OLLAMA_API_KEY="$KEY"',
                f'export OPENAI_BASE_URL={self.url}/v1 OPENAI_API_KEY="$KEY"\n',
            )
        )
