"""The records of a home's log as tests want them: opened, in the order of their lines."""

import json
from pathlib import Path
from typing import Any

from gateway.audit.sealed_record import record_opener
from gateway.homes.home import Home

Record = dict[str, Any]


def opened_record(home: Path, line: bytes | str) -> Record:
    """One line's record with its personal fields opened, as far as the home still can; without the pseudonym."""
    with record_opener(Home(home)) as opened:
        record = opened(json.loads(line))
    record.get("actor", {}).pop("pseudonym", None)
    return record
