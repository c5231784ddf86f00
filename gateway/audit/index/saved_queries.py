"""Searches that people kept: `$CORRAL_HOME/audit-queries.json`, conditions by name, as they were typed.

Times that are spans stay spans: `yesterday` is the day before whenever it is asked.
"""

import json
import os
import re
from pathlib import Path

import msgspec

from gateway.homes.private_file import sync_directory, write_private
from policies.worded import worded

FILE_NAME = "audit-queries.json"
MAX_QUERIES = 1_000
MAX_FILE_BYTES = 4 * 1024 * 1024
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")

Conditions = dict[str, str]


class QueryFault(Exception):
    """A kept search cannot be used or made; the message is one line with the remedy."""


class SavedQueries:
    """The kept searches of one home."""

    def __init__(self, home: Path) -> None:
        self._path = home / FILE_NAME

    def all(self) -> dict[str, Conditions]:
        """Every one by name. Raises QueryFault."""
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(MAX_FILE_BYTES), type=dict[str, Conditions])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as fault:
            line = f"{self._path} cannot be read ({fault}): mend or remove it"
            raise QueryFault(worded(line, "queries_unreadable", file=str(self._path), fault=str(fault))) from None

    def get(self, name: str) -> Conditions:
        """The conditions kept under `name`. Raises QueryFault."""
        known = self.all()
        if name not in known:
            line = f"no search is kept as {name!r}: 'corral audit queries' lists them"
            raise QueryFault(worded(line, "query_unknown", name=name))
        return known[name]

    def require_free(self, name: str) -> None:
        """Raises QueryFault unless a search could be kept under `name`."""
        known = self.all()
        if _NAME.fullmatch(name) is None:
            line = f"{name!r} is no name for a search: use small letters, digits and '-', at most 64"
            raise QueryFault(worded(line, "query_name", name=name))
        if name in known:
            line = f"a search is kept as {name!r} already: 'corral audit queries --remove {name}' first"
            raise QueryFault(worded(line, "query_taken", name=name))
        if len(known) >= MAX_QUERIES:
            line = f"{MAX_QUERIES} searches are kept already: remove one first"
            raise QueryFault(worded(line, "queries_many", most=MAX_QUERIES))

    def put(self, name: str, conditions: Conditions) -> None:
        """Keep a search. Raises QueryFault."""
        self.require_free(name)
        self._write({**self.all(), name: conditions})

    def remove(self, name: str) -> None:
        """Keep it no more. Raises QueryFault."""
        self.get(name)
        self._write({each: conditions for each, conditions in self.all().items() if each != name})

    def _write(self, queries: dict[str, Conditions]) -> None:
        fresh = self._path.with_name(f".{FILE_NAME}.{os.getpid()}")
        text = json.dumps(queries, indent=2, sort_keys=True, ensure_ascii=True) + "\n"
        try:
            fresh.unlink(missing_ok=True)
            write_private(fresh, text.encode("ascii"), mode=0o600)
            if os.geteuid() == 0:  # what root keeps is for the home's owner too
                owner = self._path.parent.stat()
                os.chown(fresh, owner.st_uid, owner.st_gid)
            fresh.replace(self._path)
            sync_directory(self._path.parent)
        except OSError as fault:
            line = f"{self._path} cannot be written ({fault.strerror}): make room or its folder writable"
            why = str(fault.strerror)
            raise QueryFault(worded(line, "queries_unwritable", file=str(self._path), fault=why)) from None
