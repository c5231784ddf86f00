"""Templates: everything escaped, nothing hidden, every missing name an error, both languages."""

import re

import pytest
from jinja2 import DictLoader
from jinja2.exceptions import UndefinedError
from msgspec import structs

from gateway.console.assets import load_assets
from gateway.console.page import Page
from gateway.console.rendering import Frame, MenuEntry, Rendering
from policies.audit_record import Actor
from policies.console.viewer import Viewer

VIEWER = Viewer(
    person="<Anna>\u202e", actor=Actor(), role="team-lead", teams=frozenset({"one"}), session="s", csrf='a"b'
)
FRAME = Frame(lang="en", path="/x", viewer=VIEWER, query={"q": "a&b", "lang": "en"}, now_us=1_795_413_904_000_000)
EVIL = "<script>alert(1)</script>\"'&\x1b[31m\u202e"


@pytest.fixture(scope="module")
def rendering() -> Rendering:
    return Rendering(load_assets())


def drawn(rendering: Rendering, text: str, **data: object) -> str:
    loader = rendering._environment.loader
    rendering._environment.loader = DictLoader({"t.html": text})
    rendering._environment.cache.clear()  # type: ignore[union-attr]
    try:
        return rendering.page(Page("t.html", data), FRAME).decode()
    finally:
        rendering._environment.loader = loader
        rendering._environment.cache.clear()  # type: ignore[union-attr]


def test_untrusted_text_is_escaped_everywhere_and_hides_nothing(rendering):
    shown = drawn(
        rendering,
        '<p title="{{ a }}">{{ a }} {{ a ~ "x" }} {{ [a] }} {{ t("session.end_of", person=a, client=a) }}</p>',
        a=EVIL,
    )
    assert "<script" not in shown
    assert '"><' not in shown.replace('">', "", 1)
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\\u202e" in shown


def test_a_name_that_nobody_gave_is_an_error(rendering):
    for text in ("{{ missing }}", "{{ viewer.missing }}", "{% if missing %}{% endif %}"):
        with pytest.raises(UndefinedError):
            drawn(rendering, text)
    with pytest.raises(KeyError):
        drawn(rendering, '{{ t("frame.no_such_key") }}')


def test_the_forms_token_is_an_attribute_whatever_it_holds(rendering):
    assert drawn(rendering, "{{ csrf_field() }}") == '<input type="hidden" name="csrf" value="a&#34;b">'


def test_an_address_in_another_language_keeps_the_question(rendering):
    assert drawn(rendering, "{% for _, at in languages %}{{ at }}{% endfor %}") == "/x?q=a%26b&amp;lang=zh"


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_frame_has_one_heading_a_skip_link_and_a_language(rendering, lang):
    menu = (MenuEntry("frame.menu", "/x", here=True), MenuEntry("frame.skip", "/y", here=False))
    frame = structs.replace(FRAME, lang=lang, menu=menu, alarms=(1_795_413_904.0, 1_795_413_900.0))
    page = Page("frame/error.html", {"status": 404, "known": True, "line": EVIL})
    shown = rendering.page(page, frame).decode()
    assert shown.count("<h1>") == 1
    assert f'<html lang="{lang}">' in shown
    assert 'href="#main"' in shown
    assert 'id="main"' in shown
    assert shown.count('aria-current="page"') == 1
    assert 'role="alert"' in shown
    assert "2026-11-23 06:05:04Z" in shown
    assert "<script>" not in shown
    assert not re.search(r"\sstyle=|\son[a-z]+=", shown)


def test_nobody_is_offered_nothing(rendering):
    shown = rendering.page(
        Page("session/sign_in.html", {"line_key": "", "offers": [], "certificate": ""}),
        Frame(lang="en", path="/sign-in"),
    ).decode()
    assert "<nav" not in shown
    assert "/sign-out" not in shown
