"""`corral`: finds the command, runs it, and turns faults into one line and an exit status."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from gateway.cli.output import BAD_INPUT, CommandFault, complain
from gateway.homes.home import NoHome


def build_parser() -> argparse.ArgumentParser:
    """The whole command line. Every command has --json and --home."""
    from gateway.cli import audit, chat, init, keys, models, serve, status, teams

    parser = argparse.ArgumentParser(prog="corral", description="A locked gate in front of local language models.")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print the result as JSON")
    common.add_argument(
        "--home",
        type=Path,
        default=Path(os.environ.get("CORRAL_HOME", ".corral")),
        help="where state lives (default: $CORRAL_HOME, else .corral)",
    )
    common.set_defaults(api_key=os.environ.get("CORRAL_API_KEY", ""))
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for group in (init, serve, status, keys, teams, models, chat, audit):
        group.add_commands(commands, common)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status (2 for bad input, 1 for failure)."""
    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except CommandFault as fault:
        return complain(fault)
    except NoHome as fault:
        return complain(CommandFault(str(fault), status=BAD_INPUT))
    except KeyboardInterrupt:
        return complain(CommandFault("interrupted"))


if __name__ == "__main__":
    sys.exit(main())
