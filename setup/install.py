"""`python3 -m setup.install engine|dev [--engine E] [--model] ...`: installs what is missing; cheap when nothing is."""

import argparse
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from setup.engines import chosen_engine
from setup.environment import SETS, built_engine, install, install_apart
from setup.faults import FAILED, SetupFault
from setup.model import obtain_model
from setup.places import CACHE
from setup.system_packages import have_packages


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 when all is installed, 2 when the machine lacks something, 130 when interrupted, else 1."""
    parser = argparse.ArgumentParser(prog="python3 -m setup.install", description=__doc__)
    parser.add_argument("set", choices=SETS)
    parser.add_argument("--engine", default="", help="what llama.cpp is built for; what it was built for, or cpu")
    parser.add_argument("--model", action="store_true", help="fetch the small model too")
    parser.add_argument("--sslyze", action="store_true", help="have the scanner that judges TLS, in a place of its own")
    parser.add_argument("--system-packages", action="store_true", help="as root, install what is missing with apt-get")
    arguments = parser.parse_args(argv)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        if arguments.system_packages:
            have_packages(root=os.geteuid() == 0)
        with one_at_a_time():
            install(arguments.set, chosen_engine(arguments.engine, built_engine(), sys.platform))
            if arguments.model:
                obtain_model()
            if arguments.sslyze:
                install_apart("sslyze")
    except KeyboardInterrupt:
        return complain("interrupted; the same command goes on from here", 130)
    except OSError as fault:
        return complain(f"{fault.filename or 'set-up'}: {fault.strerror}", FAILED)
    except SetupFault as fault:
        return complain(str(fault), fault.status)
    return 0


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Two set-ups in one checkout wait for each other; the lock falls with its process."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / "set-up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another set-up is running in this checkout: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def complain(message: str, status: int) -> int:
    """One line on stderr; on a line of its own when a progress line still stands."""
    print(f"{chr(10) if sys.stdout.isatty() else ''}corral set-up: {message}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
