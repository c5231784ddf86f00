"""Linting: keys are found wherever they stand, lookalikes are not, and no secret is printed."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.keys_lint import find_lines
from gateway.cli.main import main
from policies.credentials.api_key import mint

ONE, TWO = (mint(lambda count, byte=byte: bytes([byte]) * count) for byte in (1, 2))


def test_keys_are_named_by_line_and_id_and_never_shown(tmp_path, capsys):
    file = tmp_path / "leak.txt"
    file.write_text(f"# config\n\nkey = {ONE.text}\nboth: {ONE.text},{TWO.text}\n")
    assert main(["keys", "lint", str(file)]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        f"{file}:3: Corral key {ONE.id}",
        f"{file}:4: Corral key {ONE.id}",
        f"{file}:4: Corral key {TWO.id}",
    ]
    assert ONE.text[20:] not in printed.out + printed.err


def test_json_and_standard_input(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"x\n{TWO.text}".encode())))
    assert main(["keys", "lint", "-", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == [{"id": TWO.id, "line": 2}]


def test_lookalikes_are_none(tmp_path, capsys):
    file = tmp_path / "clean.txt"
    file.write_text(f"{ONE.text[:-1]}!\ncorral_{'a' * 12}_{'b' * 49}\n")
    assert main(["keys", "lint", str(file)]) == 0
    assert capsys.readouterr().out == "no Corral keys found\n"


def test_a_missing_file_is_bad_input(tmp_path, capsys):
    assert main(["keys", "lint", str(tmp_path / "none")]) == 2
    assert "cannot be read: No such file" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_other_encodings_hide_nothing(encoding):
    assert list(find_lines(io.BytesIO(f"a\nb {ONE.text}\n".encode(encoding)))) == [(2, ONE.id)]


class Pieces(io.BytesIO):
    """A stream that gives few bytes at a time, however many are asked for."""

    def __init__(self, content: bytes, size: int) -> None:
        super().__init__(content)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(self._size)


@given(
    st.lists(st.sampled_from([b"x", b"\n", b"corral_", ONE.text.encode(), TWO.text.encode()]), max_size=12),
    st.integers(1, 90),
)
def test_pieces_and_the_whole_agree(parts, size):
    content = b"".join(parts)
    assert list(find_lines(Pieces(content, size))) == list(find_lines(io.BytesIO(content)))


def test_binary_content_is_no_hindrance():
    assert list(find_lines(io.BytesIO(bytes(range(256)) + ONE.text.encode()))) == [(2, ONE.id)]
