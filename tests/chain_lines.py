"""Lines of an audit chain made one by one, as the writer makes them in commits."""

from collections.abc import Mapping
from typing import Any

from policies.audit_chain import encode_entry, link


def chain_line(entry: Mapping[str, Any], seq: int, prev: str) -> bytes:
    """The line for a record, without newline. Raises as `encode_entry`."""
    return link(encode_entry(entry), seq, prev)
