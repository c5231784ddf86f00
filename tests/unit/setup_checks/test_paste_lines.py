"""The pasted lines are shell that works, whatever the paths are called, and the key stands in them once."""

import json
import subprocess
from pathlib import Path

import pytest

from setup import paste_lines
from setup.paste_lines import PasteLines

KEY = "corral_0123456789abcdef"
LINES = PasteLines(Path("/home/o'brien/my home"), "https://127.0.0.1:8443", "smollm2:135m")


def paste(lines: str, then: str) -> str:
    """What `then` prints after the lines were pasted into bash; curl only shows its words."""
    script = f'curl() {{ printf "%s\\n" "$@" >&2; }}\n{shell_part(lines)}\n{then}'
    return subprocess.run(["/bin/bash", "-euc", script], capture_output=True, text=True, check=True).stdout


def shell_part(lines: str) -> str:
    return "\n".join(line for line in lines.splitlines() if line.startswith(("KEY=", "curl ", "export ")))


def test_the_variables_of_the_clients() -> None:
    then = 'printf "%s\\n" "$SSL_CERT_FILE" "$OLLAMA_HOST" "$OLLAMA_API_KEY" "$OPENAI_BASE_URL" "$OPENAI_API_KEY"'
    assert paste(LINES.with_key(KEY), then).splitlines() == [
        "/home/o'brien/my home/tls/ca.pem",
        "https://127.0.0.1:8443",
        KEY,
        "https://127.0.0.1:8443/v1",
        KEY,
    ]


def test_the_call() -> None:
    then = f"({shell_part(LINES.with_key(KEY)).splitlines()[1]}) 2>&1"
    words = paste(LINES.with_key(KEY), then).splitlines()
    assert words[:2] == ["--cacert", "/home/o'brien/my home/tls/ca.pem"]
    assert f"Authorization: Bearer {KEY}" in words
    assert "https://127.0.0.1:8443/api/chat" in words
    body = json.loads(words[-1])
    assert (body["model"], body["stream"]) == ("smollm2:135m", False)


def test_the_key_is_there_once_and_first() -> None:
    lines = LINES.with_key(KEY)
    assert lines.count(KEY) == 1
    assert shell_part(lines).startswith(f"KEY={KEY}")


def test_a_key_left_in_a_file(tmp_path: Path) -> None:
    left = tmp_path / "it's here"
    left.write_text(f"{KEY}\n")
    lines = LINES.with_key_file(left)
    assert KEY not in lines
    assert paste(lines, 'printf %s "$KEY"') == KEY


def test_a_key_made_by_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corral = tmp_path / "the corral"
    corral.write_text('#!/bin/sh\necho "{\\"id\\": \\"a\\", \\"key\\": \\"$*\\"}"\n')
    corral.chmod(0o755)
    monkeypatch.setattr(paste_lines, "CORRAL", corral)
    monkeypatch.setattr(paste_lines, "PYTHON", Path("python3"))
    said = paste(LINES.with_another_key(), 'printf %s "$KEY"')
    assert said == "keys create --home /home/o'brien/my home --team default --json"
