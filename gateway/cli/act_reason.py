"""`--reason` and `--ticket`, which every act takes along into the audit log."""

import argparse


def reason_options() -> argparse.ArgumentParser:
    """A parent parser with both."""
    why = argparse.ArgumentParser(add_help=False)
    why.add_argument("--reason", default="", help="why, for the audit log")
    why.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")
    return why


def reason_of(arguments: argparse.Namespace) -> dict[str, str]:
    """What was given, as arguments of the act."""
    return {"reason": arguments.reason, "ticket": arguments.ticket}
