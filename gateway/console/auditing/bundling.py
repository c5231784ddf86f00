"""Records with their proofs as one file: gateway/audit/index/bundle.py as a zip archive, once a checkpoint covers them.

A checkpoint is made every ten seconds while there is anything to record, so for what was written a moment ago the next
one is waited for, rather than refusing what will be there when the reviewer asks again.
"""

import asyncio
import io
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

from gateway.audit.audit_key import UnfitAuditKey
from gateway.audit.index.bundle import BundleFault, write_bundle
from gateway.audit.index.found_lines import FoundLine
from gateway.audit.log_proofs import NotProvable
from gateway.audit.trusted_keys import read_trusted_keys
from gateway.console.auditing.log_reading import LogReading, told_faults
from gateway.console.auditing.proof_state import chain_state
from gateway.console.page import Turned
from gateway.homes.home import Home
from policies.auditing.merkle import ProofWrong
from policies.auditing.signed_note import NoteBroken

LOOKS = 25
LOOK_S = 0.5
"""Together a little longer than a checkpoint takes to come."""
FOLDER = "corral-audit-bundle"
SECONDS = 60.0


async def bundle_of(reading: LogReading, lines: Sequence[FoundLine]) -> bytes:
    """The lines with their proofs. Raises Turned: 409 where there is no proof, or not yet."""
    for _ in range(LOOKS):
        if await reading.work(lambda: _is_settled(reading.home, lines)):
            break
        await asyncio.sleep(LOOK_S)
    return await reading.work(lambda: bundled(reading.home, lines))


def bundled(home: Home, lines: Sequence[FoundLine]) -> bytes:
    """The same at once. Blocks: it hashes every line of their chains."""
    try:
        with told_faults(SECONDS), tempfile.TemporaryDirectory(prefix="corral-bundle-") as place:
            folder = Path(place) / FOLDER
            write_bundle(folder, home.audit, lines, read_trusted_keys(home.audit))
            return _zipped(folder)
    except ProofWrong as fault:
        raise Turned(409, "audit.proof_wrong", cause=str(fault)) from None
    except (BundleFault, NotProvable, NoteBroken, UnfitAuditKey) as fault:
        raise Turned(409, "audit.not_provable", cause=str(fault)) from None


def _is_settled(home: Home, lines: Sequence[FoundLine]) -> bool:
    """Whether all are covered, or never will be by waiting: their chain has no sound checkpoint."""
    with told_faults(SECONDS):
        newest = {
            chain: max(line.seq for line in lines if line.chain == chain) for chain in {each.chain for each in lines}
        }
        states = [chain_state(home, chain) for chain in newest]
        return any(state.fault for state in states) or all(newest[state.chain] < state.covered for state in states)


def _zipped(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder.parent))
    return out.getvalue()
