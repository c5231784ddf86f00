"""`make serve`, once everything is installed: a home, the small model in its store, the gateway, and lines to paste."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from setup.faults import FAILED, SetupFault
from setup.install import complain
from setup.model import MODEL, MODEL_NAME, MODEL_SYSTEM
from setup.paste_lines import PasteLines
from setup.places import CORRAL

POLL_S = 0.2


def main() -> int:
    """Serve until told to stop; returns the exit status of `corral serve`."""
    home = Path(os.environ.get("CORRAL_HOME") or ".corral").absolute()
    try:
        if not (home / "config.yaml").is_file():
            corral("init", home)
        if not store_holds(home, MODEL_NAME):
            print(f"Importing {MODEL_NAME} into {home / 'models'}", flush=True)
            corral("models", "import", MODEL, MODEL_NAME, "--system", MODEL_SYSTEM, home)
        return serve(home)
    except SetupFault as fault:
        return complain(str(fault), fault.status)
    except OSError as fault:
        return complain(f"{fault.filename or home}: {fault.strerror}", FAILED)
    except KeyboardInterrupt:
        return complain("interrupted; the same command goes on from here", 130)


def corral(*command: str | Path) -> str:
    """Run one command of ours on the home, which is named last; returns its output. Raises SetupFault.

    Its output is no terminal, so `corral init` shows no key but leaves it in a file of the home.
    """
    *words, home = command
    ended = subprocess.run([CORRAL, *words, "--home", home], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        raise SetupFault(f"'corral {words[0]}' ended with status {ended.returncode}", status=ended.returncode)
    return ended.stdout


def store_holds(home: Path, name: str) -> bool:
    """Whether the home's model store has the model, and whole."""
    command: list[str | Path] = [CORRAL, "models", "show", name, "--home", home]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def serve(home: Path) -> int:
    """Run `corral serve`; when it is ready, show the lines. Signals are handed on, once each.

    The gateway is a process group of its own: Ctrl-C reaches this process alone, which passes it on.
    """
    command: list[str | Path] = [CORRAL, "serve", "--json", "--home", home]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, process_group=0) as gateway:

        def pass_on(number: int, _: object) -> None:
            gateway.send_signal(signal.SIGTERM if number == signal.SIGHUP else number)

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, pass_on)
        for line in gateway.stdout or ():  # one line, when it accepts; the end, when it ends
            wait_until_ready(gateway, json.loads(line)["url"], home)
    return _status(gateway.returncode)


def wait_until_ready(gateway: subprocess.Popen[str], url: str, home: Path) -> None:
    """Show the lines once the gateway takes requests; show nothing when it ends before."""
    while gateway.poll() is None:
        if is_ready(home):
            print(lines_to_paste(home, url), flush=True)
            return
        time.sleep(POLL_S)


def is_ready(home: Path) -> bool:
    """Whether the gateway says so itself; asked over the network, its certificate or allowlist could hide it."""
    command: list[str | Path] = [CORRAL, "status", "--json", "--home", home]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode == 0 and json.loads(ended.stdout)["ready"] is True


def lines_to_paste(home: Path, url: str) -> str:
    """The lines. A key that was left in a file is shown on a terminal instead, and only there."""
    lines = PasteLines(home, url, MODEL_NAME)
    left = home / "first-key"
    if not left.is_file():
        return lines.with_another_key()
    if not sys.stdout.isatty():
        return lines.with_key_file(left)
    key = left.read_text().strip()
    left.unlink()
    return lines.with_key(key)


def _status(returncode: int) -> int:
    return 128 - returncode if returncode < 0 else returncode


if __name__ == "__main__":
    sys.exit(main())
