"""`make serve` after the installation, driven as a process, with a `corral` that is a small script."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from setup.places import ROOT

KEY = "corral_the-first-key"
FAKE_CORRAL = f"""#!/bin/sh
echo "$@" >>"$ASKED"
for home in "$@"; do :; done
case "$1 $2" in
"init --home") mkdir "$home" && touch "$home/config.yaml" && echo {KEY} >"$home/first-key" ;;
"models show") test -e "$home/model" ;;
"models import") touch "$home/model" ;;
"status --json")  # away, not ready, ready
    echo >>"$home/polls"
    case $(wc -l <"$home/polls") in 1) exit 1 ;; 2) echo '{{"ready": false}}' ;; *) echo '{{"ready": true}}' ;; esac ;;
"serve --json")
    test ! -e "$home/fault" || {{ echo "corral: a fault in config.yaml" >&2; exit 2; }}
    exec {sys.executable} -S -c "$GATEWAY" "$home" ;;
esac
"""
FAKE_GATEWAY = """
import json, pathlib, signal, sys
signals = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
print(json.dumps({"url": "https://127.0.0.1:8443", "ca_file": "ca.pem"}), flush=True)
(pathlib.Path(sys.argv[1]) / "stopped").write_text(signal.Signals(signal.sigwait(signals)).name)
"""


class Site:
    """A folder with a fake `corral` and the home it is asked to serve."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.asked_file = folder / "asked"
        self._corral = folder / "corral"
        self._corral.write_text(FAKE_CORRAL)
        self._corral.chmod(0o755)

    def start(self, stdout: int) -> subprocess.Popen[bytes]:
        code = f"import pathlib, sys; from setup import serve; serve.CORRAL = pathlib.Path({str(self._corral)!r})"
        code += "; serve.POLL_S = 0.01"
        environment = {
            **os.environ,
            "CORRAL_HOME": str(self.home),
            "ASKED": str(self.asked_file),
            "GATEWAY": FAKE_GATEWAY,
        }
        command = [sys.executable, "-c", f"{code}; sys.exit(serve.main())"]
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=stdout)

    def asked(self) -> list[str]:
        return self.asked_file.read_text().splitlines()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def until_last_line(descriptor: int) -> Iterator[str]:
    with os.fdopen(descriptor, "rb", closefd=False) as output:
        for line in output:
            yield line.decode().rstrip()
            if line.startswith(b"export OPENAI_BASE_URL"):
                return


def serve_once(site: Site, number: signal.Signals = signal.SIGTERM, *, terminal: bool = False) -> tuple[str, int]:
    """Start, read the lines, send the signal; what was printed and the exit status."""
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = site.start(theirs)
    os.close(theirs)
    try:
        lines = "\n".join(until_last_line(ours))
        process.send_signal(number)
        return lines, process.wait(60)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_first_start_without_a_terminal(site: Site) -> None:
    lines, status = serve_once(site)
    assert f'KEY="$(cat {site.home}/first-key)"' in lines
    assert KEY not in lines
    assert (site.home / "first-key").is_file()
    assert status == 0
    assert [asked.split(" -")[0].split(" /")[0] for asked in site.asked()] == [
        "init",
        "models show smollm2:135m",
        "models import",
        "serve",
        "status",
        "status",
        "status",
    ]


def test_the_first_start_on_a_terminal_shows_the_key_once(site: Site) -> None:
    lines, _ = serve_once(site, terminal=True)
    assert lines.count(KEY) == 1
    assert f"KEY={KEY}" in lines
    assert not (site.home / "first-key").exists()


@pytest.mark.parametrize("terminal", [True, False])
def test_later_starts_make_another_key(site: Site, terminal: bool) -> None:
    serve_once(site, terminal=True)
    lines, _ = serve_once(site, terminal=terminal)
    assert KEY not in lines
    assert f"keys create --home {site.home} --team default --json |" in lines
    home = f"--home {site.home}"
    later = site.asked()[7:]
    assert later == [f"models show smollm2:135m {home}", f"serve --json {home}", f"status --json {home}"]


@pytest.mark.parametrize(
    ("number", "received"),
    [(signal.SIGINT, "SIGINT"), (signal.SIGTERM, "SIGTERM"), (signal.SIGHUP, "SIGTERM")],
)
def test_signals_reach_the_gateway(site: Site, number: signal.Signals, received: str) -> None:
    _, status = serve_once(site, number)
    assert (site.home / "stopped").read_text() == received
    assert status == 0


def test_a_gateway_that_refuses_to_start(site: Site) -> None:
    serve_once(site)
    (site.home / "fault").touch()
    process = site.start(subprocess.PIPE)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert said == b""
