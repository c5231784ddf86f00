"""An audit folder as gateways leave it, written at once: segments of so many records, and the head."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import zstandard

from gateway.audit.audit_files import HEAD_NAME
from policies.audit_chain import GENESIS, Head, head_bytes, line_hash, segment_name
from tests.chain_lines import chain_line


class StoredChain:
    """One chain in `folder`, added to as often as wanted."""

    def __init__(self, folder: Path, per_segment: int = 50) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.lines: list[bytes] = []
        self._per_segment = per_segment
        self.name_head()

    def add(self, entries: Sequence[Mapping[str, Any]], *, acknowledged: bool = True) -> None:
        """Records at the end of the chain, in the head too unless they are not `acknowledged`."""
        for entry in entries:
            prev = line_hash(self.lines[-1]) if self.lines else GENESIS
            line = chain_line(entry, len(self.lines), prev)
            with self.segment_of(len(self.lines)).open("ab") as file:
                file.write(line + b"\n")
            self.lines.append(line)
        if acknowledged:
            self.name_head()

    def name_head(self) -> None:
        """Say in the head that everything up to now is acknowledged."""
        last = len(self.lines) - 1
        seal = line_hash(self.lines[-1]) if self.lines else GENESIS
        (self.folder / HEAD_NAME).write_bytes(head_bytes(Head(last, seal, self.segment_of(max(last, 0)).name)))

    def segment_of(self, seq: int) -> Path:
        """Where the record with `seq` is, in the plain form."""
        return self.folder / segment_name(seq - seq % self._per_segment)

    def compress(self, seq: int) -> Path:
        """Compress the segment that holds `seq`; the file that is left."""
        plain = self.segment_of(seq)
        packed = plain.with_name(plain.name + ".zst")
        packed.write_bytes(zstandard.ZstdCompressor().compress(plain.read_bytes()))
        plain.unlink()
        return packed
