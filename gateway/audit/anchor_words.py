"""Whether a log is anchored off its host, in the one sentence that every command says.

Read from what the gateway wrote down beside each chain. It is the host's own word, so it only ever warns: what proves
anything is the witness's or anchor's copy itself (`corral audit verify --anchor`).
"""

import json
from collections.abc import Sequence
from pathlib import Path

from gateway.audit.audit_files import HEAD_NAME
from policies.worded import Worded, worded

ANCHORED_NAME = "anchored"
NOT_ANCHORED = "not anchored off this host"
MEANING = "whoever holds the audit key here can write another log"
MAX_STATE_BYTES = 256 * 1024


def anchor_words(chains: Sequence[Path]) -> Worded:
    """The sentence about the chains in these folders; for several it names those that are not."""
    names = {chain.resolve().name: _off_host(chain) for chain in chains}
    missing = sorted(name for name, places in names.items() if not places)
    if not names or len(missing) == len(names):
        return worded(f"{NOT_ANCHORED}: {MEANING}", "not_anchored")
    if missing:
        named = ", ".join(missing)
        return worded(f"{NOT_ANCHORED} ({named}): {MEANING}", "not_anchored_these", chains=named)
    places = ", ".join(sorted(set().union(*names.values())))
    return worded(f"anchored off this host by {places}", "anchored_by", places=places)


def home_words(audit: Path) -> Worded:
    """The sentence about all chains of a home's `audit` folder."""
    try:
        chains = [each for each in audit.iterdir() if (each / HEAD_NAME).exists()]
    except OSError:
        chains = []
    return anchor_words(chains)


def _off_host(chain: Path) -> set[str]:
    """The places beyond this host that ever took a checkpoint of this chain."""
    try:
        with (chain / ANCHORED_NAME).open("rb") as file:
            state = json.loads(file.read(MAX_STATE_BYTES))
        return {str(name) for name, each in state.items() if each["off_host"] is True and int(each["size"]) >= 0}
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        return set()
