"""What no template may hold: markup unescaped, styles and scripts inline, a form without its token."""

import re
from pathlib import Path

import pytest

import gateway.console

CONSOLE = Path(gateway.console.__file__).parent
TEMPLATES = sorted((CONSOLE / "templates").rglob("*.html"))
BANNED = {
    "|safe": re.compile(r"\|\s*safe\b"),
    "autoescape off": re.compile(r"autoescape"),
    "a style attribute": re.compile(r"\sstyle\s*="),
    "a style element": re.compile(r"<style\b"),
    "an inline script": re.compile(r"<script(?![^>]*\ssrc=)[^>]*>(?!</script>\s*$)", re.MULTILINE),
    "an event attribute": re.compile(r"\son[a-z]+\s*="),
    "a script address": re.compile(r"javascript:", re.IGNORECASE),
    "another site": re.compile(r"(?:src|href|action)=[\"'](?:https?:)?//"),
}
FORM = re.compile(r"<form\b([^>]*)>(.*?)</form>", re.DOTALL)
SIGN_IN = ("session/sign_in.html", "oidc/")
"""Forms of somebody who has no session yet: Origin and Sec-Fetch-Site alone tell where they come from."""


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CONSOLE / "templates")))
def test_a_template_holds_nothing_that_is_banned(path):
    text = path.read_text("utf-8")
    assert [what for what, pattern in BANNED.items() if pattern.search(text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CONSOLE / "templates")))
def test_every_form_that_changes_something_carries_the_sessions_token(path):
    name = str(path.relative_to(CONSOLE / "templates"))
    for attributes, inside in FORM.findall(path.read_text("utf-8")):
        if 'method="post"' in attributes and not name.startswith(SIGN_IN):
            assert "csrf_field()" in inside, (name, attributes)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CONSOLE / "templates")))
def test_every_unescaped_text_of_ours_is_none(path):
    assert "Markup(" not in path.read_text("utf-8")


def test_markup_is_made_in_few_places_and_only_from_constants():
    made = [path for path in CONSOLE.rglob("*.py") if "Markup(" in path.read_text("utf-8")]
    assert {path.name for path in made} == {"page_filters.py", "rendering.py"}
    for path in made:
        for call in re.findall(r"Markup\((.)", path.read_text("utf-8")):
            assert call in {"'", '"'}


def test_scripts_build_no_markup_from_text():
    for path in (CONSOLE / "assets").glob("*.js"):
        if "uPlot" not in path.name:
            text = path.read_text("utf-8")
            assert not re.search(
                r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", text
            ), path.name
