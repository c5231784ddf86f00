"""A name in the clear is found wherever in a segment it stands, plain or compressed, and only as a whole value."""

from pathlib import Path

import pytest
import zstandard

from gateway.audit import plain_names
from gateway.audit.plain_names import segments_naming


def test_found_as_a_whole_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain_names, "CHUNK_BYTES", 7)
    chain = tmp_path / "a-0"
    chain.mkdir()
    (chain / "000000000000.jsonl").write_bytes(b'{"root":"0","actor":{"name":"ann"}}\n')
    packed = zstandard.ZstdCompressor().compress(b'{"actor":{"name":"annabel"},"owner":"root"}\n')
    (chain / "000000000001.jsonl.zst").write_bytes(packed)
    assert segments_naming([chain], ["ann"]) == ["a-0/000000000000.jsonl"]
    assert segments_naming([chain], ["root"]) == ["a-0/000000000001.jsonl"]
    assert segments_naming([chain], ["annabel", "ann"]) == ["a-0/000000000000.jsonl", "a-0/000000000001.jsonl"]
    assert segments_naming([chain], ["anna"]) == segments_naming([chain], []) == []


def test_a_damaged_segment_is_told(tmp_path: Path) -> None:
    chain = tmp_path / "a-0"
    chain.mkdir()
    (chain / "000000000000.jsonl.zst").write_bytes(b"not compressed at all")
    with pytest.raises(OSError, match="cannot be decompressed"):
        segments_naming([chain], ["ann"])
