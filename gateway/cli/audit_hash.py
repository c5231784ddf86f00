"""`corral audit hash`: the digest under which the log knows a text, to find who sent it or was sent it.

The digest goes into `corral audit search` as `content.req_digest` (what a caller said last) or `content.resp_digest`
(an answer). It counts words, not blanks and line ends, so a text can be taken from a window or a mail. That somebody
asked for it is a record of the log, written first.
"""

import argparse
import sys
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.output import BAD_INPUT, CommandFault, emit

MAX_TEXT_CHARS = 64 * 1024 * 1024


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare `hash`."""
    command = acts.add_parser("hash", parents=[common, reason_options()], help="the digest of a text, to look for it")
    command.add_argument("--team", required=True, help="whose digest: each team has its own")
    command.add_argument("--text", help="the text; left out, it is read from standard input")
    command.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the digest, once it is recorded that it was asked for."""
    from gateway.audit.content_file import ContentNotOpened
    from gateway.audit.content_store import digest_key
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home
    from policies.auditing.content_policy import text_digest
    from policies.policy import TEAM_NAME

    if not TEAM_NAME.match(arguments.team):
        raise CommandFault(f"{arguments.team!r} cannot be the name of a team", status=BAD_INPUT)
    home = open_home(arguments.home)
    try:
        digest = text_digest(digest_key(home.content_key, arguments.team), _text(arguments.text))
    except ContentNotOpened as fault:
        raise CommandFault(str(fault)) from fault
    if not digest:
        raise CommandFault("the text has no word, and a text without one has no digest", status=BAD_INPUT)
    call_act(home, "audit.hash", {"team": arguments.team, "digest": digest, **reason_of(arguments)})
    emit(arguments, {"team": arguments.team, "digest": digest}, digest)
    return 0


def _text(given: str | None) -> str:
    if given is not None:
        return given
    try:
        text = sys.stdin.read(MAX_TEXT_CHARS + 1)
    except (OSError, UnicodeDecodeError) as fault:
        raise CommandFault(f"standard input is no text ({fault})", status=BAD_INPUT) from fault
    if len(text) > MAX_TEXT_CHARS:
        raise CommandFault("the text is longer than any prompt", status=BAD_INPUT)
    return text
