"""Segments in which a name stands in the clear: those of a log that was begun before names were enciphered.

No erasure reaches them, since lines may not change: they go when they are pruned, and an operator must be told.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import zstandard

from gateway.audit.audit_files import Segment, open_segment, segments

CHUNK_BYTES = 1 << 20


def segments_naming(chains: Iterable[Path], names: Iterable[str]) -> list[str]:
    """The segments in which one of `names` is a whole value, as `CHAIN/SEGMENT`, in their order. Raises OSError.

    Names are as the log writes them: printable ASCII (`policies.audit_record.clean`).
    """
    wanted = [b":" + json.dumps(name).encode("ascii") for name in names]
    return [
        f"{chain.name}/{segment.name}" for chain in chains for segment in segments(chain) if _holds(segment, wanted)
    ]


def _holds(segment: Segment, wanted: list[bytes]) -> bool:
    overlap = max(map(len, wanted), default=0)
    before = b""
    try:
        with open_segment(segment) as file:
            while chunk := file.read(CHUNK_BYTES):
                if any(name in before + chunk for name in wanted):
                    return True
                before = (before + chunk)[-overlap:]
    except zstandard.ZstdError as fault:
        raise OSError(5, f"{segment.path} cannot be decompressed") from fault
    return False
