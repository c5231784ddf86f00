"""`corral audit erase`: what the log holds of a person, or the text of a request, is opened by nobody any more."""

import argparse
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.output import BAD_INPUT, CommandFault, emit


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """Declare `erase`."""
    erase = acts.add_parser(
        "erase", parents=[common, reason_options()], help="delete the keys of what is kept of a person or a request"
    )
    erase.add_argument("--person", action="append", default=[], metavar="NAME", help="as the log says it (repeatable)")
    erase.add_argument("--pseudonym", action="append", default=[], metavar="P", help="as in the log (repeatable)")
    erase.add_argument("--request", action="append", default=[], metavar="ID", help="the text kept of it (repeatable)")
    erase.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Erase, have the index forget too, and say what was found."""
    persons = bool(arguments.person or arguments.pseudonym)
    if persons == bool(arguments.request):
        raise CommandFault("name either persons (--person, --pseudonym) or requests (--request)", status=BAD_INPUT)
    if arguments.request:
        return _erase_requests(arguments)
    asked = {"persons": arguments.person, "pseudonyms": arguments.pseudonym, **reason_of(arguments)}
    done = _call(arguments, "audit.erase_person", asked)
    _forget_in_index(arguments)
    done["remains"] += _in_saved_searches(arguments) + _in_old_lines(arguments)
    emit(arguments, done, _told(done))
    return 0


def _erase_requests(arguments: argparse.Namespace) -> int:
    done = _call(arguments, "audit.erase_content", {"requests": arguments.request, **reason_of(arguments)})
    emit(arguments, done, f"the texts of {len(done['erased'])} requests are erased")
    return 0


def _told(done: dict[str, Any]) -> str:
    lines = [
        (
            f"erased: {len(done['erased'])} pseudonyms lead to nobody any more, {done['texts']} texts and "
            f"{done['remarks']} remarks are gone"
        )
    ]
    lines += [f"the name stays in {place}" for place in done["remains"]]
    lines.append("backups made before still hold what opens it, and so does policy.yaml where it names the person")
    return "\n".join(lines)


def _call(arguments: argparse.Namespace, act: str, asked: dict[str, Any]) -> dict[str, Any]:
    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    return call_act(open_home(arguments.home), act, asked)


def _in_old_lines(arguments: argparse.Namespace) -> list[str]:
    from gateway.audit.audit_files import is_chain
    from gateway.audit.plain_names import segments_naming
    from gateway.homes.home import open_home
    from policies.audit_record import clean

    audit = open_home(arguments.home).audit
    try:
        chains = sorted(entry for entry in audit.iterdir() if entry.is_dir() and is_chain(entry))
        found = segments_naming(chains, map(clean, arguments.person))
    except OSError as fault:
        raise CommandFault(f"erased, but the log's older lines could not be looked through: {fault}") from fault
    return [f"audit/{each}, written before names were enciphered: it goes when it is pruned" for each in found]


def _in_saved_searches(arguments: argparse.Namespace) -> list[str]:
    """Searches that operators kept are theirs to remove; a file that cannot be read is told when one is used."""
    from gateway.audit.index.saved_queries import QueryFault, SavedQueries
    from policies.auditing.person_fields import words_of

    try:
        kept = SavedQueries(arguments.home).all()
    except QueryFault:
        return []
    texts = {name: words_of(" ".join((name, *conditions.values()))) for name, conditions in kept.items()}
    names = [name for name, words in texts.items() if any(words_of(each) <= words for each in arguments.person)]
    return [f"the saved search {name}: 'corral audit queries --remove {name}' removes it" for name in sorted(names)]


def _forget_in_index(arguments: argparse.Namespace) -> None:
    """At once, though the index would do so by itself when it is used next."""
    import sqlite3

    from gateway.audit.index import index_file
    from gateway.audit.index.audit_index import AuditIndex
    from gateway.audit.index.index_file import IndexFault
    from gateway.audit.index.opened_records import opened_records
    from gateway.homes.home import open_home
    from policies.errors import AuditUnavailable

    home = open_home(arguments.home)
    if not index_file.is_there(home.audit):
        return
    try:
        with opened_records(home) as records:
            AuditIndex(home.audit, records).refresh()
    except (IndexFault, AuditUnavailable, OSError, sqlite3.Error) as fault:
        raise CommandFault(
            f"erased, but the search index still has to forget ({fault}): run 'corral audit search' once, or delete "
            f"{home.audit / index_file.NAME}"
        ) from fault
