"""The search for canaries finds one in every form, and none where there is none."""

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.canaries import places_of

CANARY = "KANARIE-5d21 \u00e9tude/7f"
FORMS = {
    "plain": CANARY.encode(),
    "upper": CANARY.encode().upper(),
    "url": quote(CANARY).encode(),
    "json": json.dumps({"x": CANARY}).encode(),
    "utf-16": f"x{CANARY}".encode("utf-16"),
    "repr": ascii(CANARY).encode(),
    **{f"base64 {shift}": base64.b64encode(b"x" * shift + CANARY.encode() + b"yy") for shift in range(4)},
}


@pytest.mark.parametrize("form", FORMS)
def test_found(tmp_path: Path, form: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_bytes(b"before " + FORMS[form] + b" after")
    assert places_of(CANARY, tmp_path)


def test_not_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"KANARIE-5d22 \xc3\xa9tude/7f")
    assert places_of(CANARY, tmp_path) == []
