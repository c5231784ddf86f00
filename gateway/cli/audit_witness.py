"""`corral audit witness ...`: the program for the auditor's own machine. Needs no home, only a folder of its own.

Exit statuses: 0 as it should be, 1 a finding (a log rewritten, gone or standing still), 2 bad input.
"""

import argparse
import asyncio
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, emit, say

if TYPE_CHECKING:
    from gateway.witness.witness_check import Finding
    from gateway.witness.witness_state import WitnessState

STILL_S = 3600
"""A gateway writes its workers' counts each minute, so a log that lives grows."""
LOOK_S = 60.0
MAX_PAGE_BYTES = 64 * 1024 * 1024
FETCH_S = 60.0


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit witness init|certificate|watch|serve|check`."""
    witness = acts.add_parser("witness", help="keep the last checkpoint of other people's logs, and cosign (no home)")
    verbs = witness.add_subparsers(dest="verb", required=True, metavar="VERB")
    texts = {
        "init": ("make the witness's folder, key and certificate", run_init),
        "certificate": ("make its listener's certificate anew; the gateways need the new ca.pem", run_certificate),
        "watch": ("add the verifier keys of logs (a file such as audit/audit.vkey of a home)", run_watch),
        "serve": ("take checkpoints over HTTPS and cosign them", run_serve),
        "check": ("are the watched logs there and growing; do these checkpoints fit", run_check),
    }
    parsers = {}
    for name, (text, run) in texts.items():
        parsers[name] = parser = verbs.add_parser(name, parents=[common], help=text)
        parser.add_argument("--state", type=Path, required=True, metavar="DIR", help="the witness's folder")
        parser.set_defaults(run=run)
    parsers["init"].add_argument("--name", required=True, help="its name in cosignatures, such as audit.example/w1")
    for name in ("init", "certificate"):
        parsers[name].add_argument(
            "--host", action="append", default=[], help="a name or address that gateways reach it by"
        )
    parsers["watch"].add_argument("file", type=Path, metavar="FILE")
    parsers["serve"].add_argument("--bind", default="127.0.0.1", metavar="ADDRESS")
    parsers["serve"].add_argument("--port", type=int, default=8446)
    check = parsers["check"]
    check.add_argument("--checkpoints", metavar="FILE|URL", help="a chain's checkpoints, or an anchor's copy of them")
    check.add_argument("--log", type=Path, metavar="DIR", help="a copy of the audit folder, to prove newer ones from")
    check.add_argument("--ca-file", type=Path, metavar="PEM", help="whom to trust for an https address")
    for name in ("serve", "check"):
        parsers[name].add_argument(
            "--still-s", type=int, default=STILL_S, help="a log not heard of for so long is named"
        )


def run_init(arguments: argparse.Namespace) -> int:
    """Make the folder; print the verifier key and what to do with it. Raises CommandFault."""
    from gateway.witness.witness_state import WitnessFault, init_state

    folder = arguments.state
    try:
        vkey = init_state(folder, arguments.name)
    except WitnessFault as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    run_certificate(arguments, quiet=True)
    text = f"{vkey}\n\nGive this line and {folder / 'tls' / 'ca.pem'} to the gateway's operator (audit.witnesses)."
    emit(arguments, {"vkey": vkey, "ca_file": str(folder / "tls" / "ca.pem")}, text)
    return 0


def run_certificate(arguments: argparse.Namespace, *, quiet: bool = False) -> int:
    """Make authority, certificates and key of the listener, in the place of those there were. Raises CommandFault."""
    from gateway.homes.certificate_series import LATER
    from gateway.homes.local_ca import issue_server_tls
    from gateway.homes.private_file import sync_directory, write_private

    folder = arguments.state / "tls"
    try:
        tls = issue_server_tls(tuple(arguments.host), datetime.now(UTC))
        folder.mkdir(mode=0o700, exist_ok=True)
        files = {
            "ca.pem": tls.ca_pem,
            "server.pem": tls.certificate_pem,
            LATER: tls.later_pem,
            "server.key": tls.key_pem,
        }
        for name, pem in files.items():
            (folder / f"{name}.new").unlink(missing_ok=True)
            write_private(folder / f"{name}.new", pem, mode=0o600 if name == "server.key" else 0o644)
            (folder / f"{name}.new").rename(folder / name)
        sync_directory(folder)
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    except OSError as fault:
        raise CommandFault(f"cannot write {folder}: {fault.strerror}: run 'witness init' first") from None
    if not quiet:
        emit(
            arguments, {"ca_file": str(folder / "ca.pem")}, f"give {folder / 'ca.pem'} to the gateways, then serve anew"
        )
    return 0


def run_watch(arguments: argparse.Namespace) -> int:
    """Add the logs of a file. Raises CommandFault."""
    from gateway.witness.witness_state import WitnessFault, watch_changes, watch_logs
    from policies.auditing.key_change import is_changes, read_changes
    from policies.auditing.signed_note import NoteBroken

    try:
        given = arguments.file.read_bytes()
        if is_changes(given):
            added = watch_changes(arguments.state, read_changes(given))
        else:
            added = watch_logs(arguments.state, given.decode().splitlines())
    except WitnessFault as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    except NoteBroken as fault:
        raise CommandFault(f"{arguments.file}: {fault}", status=BAD_INPUT) from None
    except (OSError, UnicodeDecodeError) as fault:
        raise CommandFault(f"cannot read {arguments.file}: {fault}", status=BAD_INPUT) from None
    emit(arguments, {"added": added}, "\n".join(f"watches {origin}" for origin in added) or "nothing new")
    return 0


def run_serve(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Raises CommandFault."""
    from gateway.logs import configure_logs

    configure_logs(sys.stderr, "info")
    state = _open(arguments.state)
    try:
        asyncio.run(_serve(arguments, state))
    except OSError as fault:
        raise CommandFault(f"cannot listen on {arguments.bind} port {arguments.port}: {fault}") from None
    finally:
        state.close()
    return 0


def run_check(arguments: argparse.Namespace) -> int:
    """Print a line a finding. Raises CommandFault."""
    from gateway.witness.witness_check import GOOD, CheckpointCheck, check_standings
    from gateway.witness.witness_state import WitnessFault

    state = _open(arguments.state)
    now_s = int(time.time())
    try:
        if arguments.checkpoints is None:
            found = check_standings(state.standings(), now_s, arguments.still_s)
        else:
            audit = arguments.log / "audit" if arguments.log and (arguments.log / "audit").is_dir() else arguments.log
            found = CheckpointCheck(state, audit, now_s).check(_fetch(arguments))
        evidence = [str(path) for path in state.evidence()]
    except (WitnessFault, OSError) as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    finally:
        state.close()
    sound = all(each.what in GOOD for each in found) and not evidence
    lines = [_sentence(each) for each in found] + [f"EVIDENCE {path}" for path in evidence]
    data = {"sound": sound, "findings": msgspec.to_builtins(found), "evidence": evidence}
    emit(arguments, data, "\n".join(lines) or "no log is watched: add one with 'corral audit witness watch'")
    return 0 if sound and found else FAILED


async def _serve(arguments: argparse.Namespace, state: "WitnessState") -> None:
    from gateway.homes.certificate_series import put_due_in_place
    from gateway.http.tls_context import TlsFault, server_context
    from gateway.witness.witness_server import WitnessServer

    folder = arguments.state / "tls"
    try:
        tls = server_context(folder / "server.pem", folder / "server.key", now=datetime.now(UTC))
    except TlsFault as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with WitnessServer(state).listening(arguments.bind, arguments.port, tls) as port:
        say(f"{state.name} listens on https://{arguments.bind}:{port}/add-checkpoint")
        named: set[str] = set()
        while not told.is_set():
            named = _name_still(state, arguments.still_s, named)
            if put_due_in_place(folder / "server.pem", datetime.now(UTC)):
                tls.load_cert_chain(folder / "server.pem", folder / "server.key")
            try:
                await asyncio.wait_for(told.wait(), LOOK_S)
            except TimeoutError:
                continue


def _name_still(state: "WitnessState", still_s: int, named: set[str]) -> set[str]:
    """Say of each log once that it is not heard of any more, and once that it is back."""
    from gateway.witness.witness_check import check_standings

    missing = {each.origin: each for each in check_standings(state.standings(), int(time.time()), still_s)}
    missing = {origin: each for origin, each in missing.items() if each.what != "fits"}
    for origin in sorted(set(missing) - named):
        say(_sentence(missing[origin]))
    for origin in sorted(named - set(missing)):
        say(f"{origin}: heard of again")
    return set(missing)


def _open(folder: Path) -> "WitnessState":
    from gateway.witness.witness_state import WitnessFault, WitnessState

    try:
        return WitnessState(folder)
    except WitnessFault as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None


def _fetch(arguments: argparse.Namespace) -> bytes:
    """The checkpoints in a file or behind an address. Raises CommandFault."""
    source = str(arguments.checkpoints)
    if not source.startswith(("http://", "https://")):
        try:
            return Path(source).read_bytes()
        except OSError as fault:
            raise CommandFault(f"cannot read {source}: {fault.strerror}", status=BAD_INPUT) from None
    return asyncio.run(_fetch_page(source, arguments.ca_file))


async def _fetch_page(url: str, ca_file: Path | None) -> bytes:
    from gateway.outbound import Outbound, OutboundFault, OutboundRefused, Way

    try:
        client = Outbound(url, connect_timeout_s=10.0, idle_timeout_s=FETCH_S, way=Way(ca_file=ca_file))
    except OSError as fault:
        raise CommandFault(f"cannot read {ca_file}: {fault}", status=BAD_INPUT) from None
    try:
        return await client.fetch("GET", "", max_body_bytes=MAX_PAGE_BYTES, total_s=FETCH_S)
    except (OutboundFault, OutboundRefused) as fault:
        raise CommandFault(f"cannot fetch {url}: {fault}") from None
    finally:
        await client.close()


def _sentence(found: "Finding") -> str:
    loud = {"fits": "", "cosigned": "COSIGNED "}.get(found.what, f"{found.what.upper()} ")
    return f"{loud}{found.origin}: {found.text}" if found.origin else f"{loud}{found.text}"
