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
from policies.worded import Line, worded

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
    page = Page("frame/error.html", {"status": 404, "known": True, "key": "", "values": {"line": EVIL}})
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


def in_chinese(rendering: Rendering, line: Line) -> str:
    frame = structs.replace(FRAME, lang="zh")
    page = Page("frame/error.html", {"status": 409, "known": True, "key": "", "values": {"line": line}})
    shown = rendering.page(page, frame).decode()
    return shown.partition('<p role="alert">')[2].partition("</p>")[0]


def test_a_sentence_of_a_command_is_said_in_the_language_of_the_page(rendering):
    unknown = worded("there is no key 'x'", "key_unknown", key=EVIL)
    said = in_chinese(rendering, unknown)
    assert "密钥列表" in said
    assert "there is no" not in said
    assert "lang=" not in said
    for hidden in ("<script", "\x1b", "\u202e"):
        assert hidden not in said


def test_a_sentence_within_a_sentence_and_a_list_are_said_so_too(rendering):
    given = tuple(worded(f"{name} is 7", "setting_is", setting=name, figure=7) for name in ("a.b", "c.d"))
    line = worded("5 would raise nothing", "grant_without_effect", value=5, given=given)
    assert in_chinese(rendering, line) == "5 没有放宽任何限额：按照策略，a.b 为 7；c.d 为 7。"


@pytest.mark.parametrize("line", [f"bare {EVIL}", worded(f"no words for this {EVIL}", "nobody_wrote_them")])
def test_what_has_no_words_is_marked_as_the_english_that_it_is(rendering, line):
    said = in_chinese(rendering, line)
    assert said.startswith('<span lang="en">')
    assert said.endswith("</span>")
    for hidden in ("<script", "\x1b", "\u202e"):
        assert hidden not in said
    assert drawn(rendering, "{{ worded(line) }}", line="as it is") == "as it is"


def test_nobody_is_offered_nothing(rendering):
    shown = rendering.page(
        Page("session/sign_in.html", {"line_key": "", "offers": [], "certificate": ""}),
        Frame(lang="en", path="/sign-in"),
    ).decode()
    assert "<nav" not in shown
    assert "/sign-out" not in shown
