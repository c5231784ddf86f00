"""Invariant: the page names every key of both files with a meaning, and is found stale when it does not."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from gateway.configuration.config_reference import Undocumented, build_page, main, section


@dataclass(frozen=True, kw_only=True)
class Inner:
    """A part of it. `depth_s` is one thing, `width_s` another; `on` a third."""

    depth_s: float = 1.5
    width_s: float | None = None
    on: bool = True


@dataclass(frozen=True, kw_only=True)
class Outer:
    """An outer thing. `name` is what it is called. `kinds` are A|B, None in all."""

    name: str
    kinds: tuple[str, ...] = ("a", "b")
    mode: Literal["x", "y"] = "x"
    inner: Inner = field(default_factory=Inner)
    _hidden: int = field(init=False, default=0)


@dataclass(frozen=True, kw_only=True)
class Documented(Outer):
    """Its own sentence. `mode` is how."""


def test_the_tree_is_documented() -> None:
    page = build_page()
    for key in ("public.port", "admin.port", "upstreams[].unsafe_plain_http", "teams.NAME.limits.burst_requests"):
        assert f"| `{key}` |" in page
    assert "| `admin.port` | whole number | `8444` |" in page


def test_a_section() -> None:
    assert section("a.", Documented) == (
        "### `a`\n\nIts own sentence.\n\n"
        "| key | type | default | meaning |\n|---|---|---|---|\n"
        "| `a.name` | text | required | `name` is what it is called. |\n"
        "| `a.kinds` | list of text | `[a, b]` | `kinds` are A\\|B, null in all. |\n"
        "| `a.mode` | `x` or `y` | `x` | `mode` is how. |\n"
        "| `a.inner` | mapping | see below | A part of it. |\n"
    )
    assert "| `depth_s` | number | `1.5` | `depth_s` is one thing. |" in section("", Inner)
    assert "| `width_s` | number or null | `null` | `width_s` another. |" in section("", Inner)
    assert "| `on` | true or false | `true` | `on` a third. |" in section("", Inner)


def test_a_key_without_a_meaning_is_a_fault() -> None:
    with pytest.raises(Undocumented, match=r"Outer\.mode"):
        section("", Outer)


def test_the_page_is_written_and_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "configuration.md"
    assert main(["--check", "--page", str(page)]) == 1
    assert "is stale" in capsys.readouterr().err
    assert main(["--page", str(page)]) == 0
    assert main(["--check", "--page", str(page)]) == 0
    page.write_text(page.read_text() + " ")
    assert main(["--check", "--page", str(page)]) == 1
