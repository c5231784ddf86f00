"""`corral audit prove SEQ` prints one record with a proof that it is part of the signed log.

The proof has the form of c2sp.org/tlog-proof, so that tools which are not ours check it, without the rest of the log:
they need the record's exact line, the proof and the chain's verifier key.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.audit_chains import UNREADABLE, FoundChains, find_keys, find_log
from gateway.cli.output import FAILED, CommandFault, emit

if TYPE_CHECKING:
    from gateway.audit.log_proofs import ProvenLine
    from gateway.audit.trusted_keys import TrustedKeys


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit prove`."""
    prove = acts.add_parser(
        "prove", parents=[common], help="one record with a proof that third-party tools check (c2sp.org/tlog-proof)"
    )
    prove.add_argument("seq", type=int, metavar="SEQ", help="the record's number in its chain")
    prove.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a chain, an audit folder or a home")
    prove.add_argument("--chain", metavar="NAME", help="the chain, where there are several")
    prove.add_argument("--vkey", type=Path, metavar="FILE", help="the verifier keys, one a line (default: audit.vkey)")
    prove.add_argument("--line", type=Path, metavar="FILE", help="write the record's exact line there, to be checked")
    prove.set_defaults(run=run_prove)


def run_prove(arguments: argparse.Namespace) -> int:
    """Print the proof; with --json also the record's line and the verifier key."""
    from policies.auditing.tlog_proof import proof_text

    if arguments.seq < 0:
        raise CommandFault("SEQ must not be negative", status=UNREADABLE)
    log = find_log(arguments)
    folder = _chain(log, arguments.chain)
    keys = find_keys(arguments, log)
    proven = _prove(arguments, folder, keys)
    text = proof_text(proven.proof).decode()
    checkpoint = proven.signed.checkpoint
    data = {
        "chain": folder.name,
        "seq": arguments.seq,
        "origin": checkpoint.origin,
        "size": checkpoint.size,
        "line": proven.line.decode("ascii", "backslashreplace"),
        "proof": text,
        "vkeys": [each.vkey for each in keys.verifiers if each.name == checkpoint.origin],
    }
    emit(arguments, data, text.removesuffix("\n"))
    return 0


def _prove(arguments: argparse.Namespace, folder: Path, keys: "TrustedKeys") -> "ProvenLine":
    """The proof, and the line where `--line` says. Raises CommandFault."""
    from gateway.audit.log_proofs import NotProvable, prove_line
    from policies.auditing.merkle import ProofWrong
    from policies.auditing.signed_note import NoteBroken

    try:
        proven = prove_line(folder, arguments.seq, keys.of(folder.name))
        if arguments.line is not None:
            arguments.line.write_bytes(proven.line)
    except (NotProvable, NoteBroken) as fault:
        raise CommandFault(f"{folder.name}: {fault}", status=UNREADABLE) from None
    except ProofWrong as fault:
        text = f"{folder.name}: the lines are not those that were signed: {fault}: run 'corral audit verify'"
        raise CommandFault(text, status=FAILED) from None
    except OSError as fault:
        raise CommandFault(f"{fault.filename}: {fault.strerror}", status=UNREADABLE) from None
    return proven


def _chain(log: FoundChains, name: str | None) -> Path:
    """The chain meant. Raises CommandFault where that is not clear."""
    names = [folder.name for folder in log.folders]
    if name is None and len(names) == 1:
        return log.folders[0]
    if name in names:
        return log.folders[names.index(name)]
    what = f"no chain is called {name}" if name else "there are several chains: name one with --chain"
    raise CommandFault(f"{what} ({', '.join(names)})", status=UNREADABLE)
