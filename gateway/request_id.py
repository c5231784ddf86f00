"""Request ids: UUID version 7 (RFC 9562), so that they sort by time and say nothing else."""

import secrets
import uuid


def new_request_id(unix_ns: int) -> str:
    """A fresh id for a request that arrived at `unix_ns`."""
    milliseconds = (unix_ns // 1_000_000) & (2**48 - 1)
    random = secrets.randbits(74)
    value = milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (2**62 - 1)
    return str(uuid.UUID(int=value))
