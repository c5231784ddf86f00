"""Assets: hashed names, nothing else of the disk, and vendored files that are what was vendored."""

import hashlib
import json
from pathlib import Path

import pytest

import gateway.console
from gateway.console.assets import Asset, Assets, load_assets

FOLDER = Path(gateway.console.__file__).parent / "assets"


def test_a_file_is_found_under_the_digest_of_all_alone():
    assets = Assets({"a.css": Asset(b"a", "text/css")})
    assert assets.find(assets.path("a.css")) == Asset(b"a", "text/css")
    assert assets.path("a.css") == f"/assets/{assets.digest}/a.css"
    for path in (
        "/assets/a.css",
        "/assets/0000000000000000/a.css",
        f"/assets/{assets.digest}/b.css",
        "/other/x/a.css",
        f"/assets/{assets.digest}/../a.css",
    ):
        assert assets.find(path) is None
    with pytest.raises(KeyError):
        assets.path("b.css")


def test_the_icon_is_where_browsers_look_by_themselves_too():
    assets = load_assets()
    assert assets.find("/favicon.ico") == assets.find(assets.path("icon.svg")) is not None
    assert Assets({}).find("/favicon.ico") is None


def test_the_digest_changes_with_any_content_or_name():
    one = Assets({"a": Asset(b"a", "x"), "b": Asset(b"b", "x")})
    assert one.digest == Assets({"b": Asset(b"b", "x"), "a": Asset(b"a", "x")}).digest
    assert one.digest != Assets({"a": Asset(b"b", "x"), "b": Asset(b"a", "x")}).digest


def test_the_packages_are_styles_scripts_and_pictures_only():
    assets = load_assets()
    kinds = {
        "console.css": "text/css; charset=utf-8",
        "icon.svg": "image/svg+xml",
        "chat.js": "text/javascript; charset=utf-8",
    }
    for name, kind in kinds.items():
        found = assets.find(assets.path(name))
        assert found is not None
        assert found.content_type == kind
    for name in ("VENDORED.json", "pico.LICENSE.txt"):
        with pytest.raises(KeyError):
            assets.path(name)


def test_what_was_vendored_is_unchanged_and_has_its_licence():
    listed = json.loads((FOLDER / "VENDORED.json").read_text())["files"]
    for each in listed:
        assert hashlib.sha256((FOLDER / each["file"]).read_bytes()).hexdigest() == each["sha256"], each["file"]
        licence = (FOLDER / each["license_file"]).read_text()
        assert "MIT" in licence
        assert "WITHOUT WARRANTY OF ANY KIND" in licence
        assert each["version"]
    assert {each["file"] for each in listed} == {
        name.name for name in FOLDER.iterdir() if name.name.startswith(("pico.c", "uPlot.e", "uPlot.m"))
    }


def test_no_asset_asks_for_another_site():
    for path in (each for each in FOLDER.iterdir() if each.suffix in {".css", ".js"}):
        text = path.read_text("utf-8")
        assert "@import" not in text
        assert "url(http" not in text
        assert "url(//" not in text
        assert not any(f"from {quote}http" in text for quote in "\"'")
