"""`corral`: finds the command, runs it, and turns faults into one line and an exit status."""

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

from gateway.cli.output import BAD_INPUT, CommandFault, ReaderGone, abandon_output, complain, say
from gateway.homes.home import NoHome

INTERRUPTED = 130
"""128 + SIGINT, as shells show it; 1 would say "tampered with" of a log that nobody judged."""
READER_GONE = 141
"""128 + SIGPIPE, for the same reason: `corral audit verify | true` has found nothing."""
UNREADABLE = 3
"""What `audit verify` says of every fault: 1 and 2 are findings there."""


class OneLineParser(argparse.ArgumentParser):
    """Says what is wrong with the arguments in one line, as every other fault is said."""

    def error(self, message: str) -> NoReturn:
        """Raises CommandFault."""
        raise CommandFault(f"{message} (see '{self.prog} --help')", status=BAD_INPUT)

    def print_help(self, file: Any = None) -> None:
        """The help is an answer like any other: its reader may go too."""
        if file is not None:
            super().print_help(file)
        else:
            say(self.format_help(), end="")


class _Version(argparse.Action):
    """`--version`; looked up only when asked for."""

    def __call__(self, *_: object) -> NoReturn:
        say(f"corral {version('corral')}")
        raise SystemExit(0)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Every command has --json and --home."""
    from gateway.cli import (
        approve,
        audit,
        capacity,
        chat,
        doctor,
        grants,
        init,
        keys,
        models,
        policy,
        revocations,
        serve,
        simulate,
        status,
        teams,
    )

    parser = OneLineParser(prog="corral", description="A locked gate in front of local language models.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("CORRAL_HOME") or ".corral"),
        help="where state lives (default: $CORRAL_HOME, else .corral)",
    )
    common.set_defaults(api_key=os.environ.get("CORRAL_API_KEY", ""))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    operating = (init, serve, status, capacity, simulate, doctor)
    for group in (*operating, keys, teams, grants, revocations, policy, models, chat, audit, approve):
        group.add_commands(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status (2 for bad input, 1 for failure)."""
    words = list(sys.argv[1:] if argv is None else argv)
    verifies = words[:2] == ["audit", "verify"]
    try:
        arguments = build_parser().parse_args(words)
        return int(arguments.run(arguments))
    except CommandFault as fault:
        return complain(CommandFault(str(fault), status=UNREADABLE if verifies else fault.status))
    except NoHome as fault:
        return complain(CommandFault(str(fault), status=BAD_INPUT))
    except ReaderGone:
        abandon_output()
        return READER_GONE
    except KeyboardInterrupt:
        if sys.stderr.isatty():
            print(file=sys.stderr)  # the line where "^C" stands
        return complain(CommandFault("interrupted", status=INTERRUPTED))


if __name__ == "__main__":
    sys.exit(main())
