"""From a page's template and data to its bytes.

Templates come from the package alone and are compiled once. Everything that they print is escaped (autoescape, no
`|safe` anywhere: a test looks), and hides nothing (`policies.console.plain_text`). A name that a template uses and
nobody gave is an error, never an empty space.
"""

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from msgspec import Struct

from gateway.console.assets import Assets
from gateway.console.page import Language, Page
from gateway.console.page_filters import duration, number, printed, when
from gateway.console.words import LANGUAGES, Words, load_words
from policies.console.plain_text import plain
from policies.console.viewer import Viewer
from policies.worded import Line

CSRF_FIELD = "csrf"
PRINTED: Language = "en"
"""The language that commands print, so what has no words in another is in this one."""


class MenuEntry(Struct, frozen=True):
    """One entry of the menu: its words' key, its path, and whether it is the part that is shown."""

    word_key: str
    path: str
    here: bool


class Frame(Struct, frozen=True, kw_only=True):
    """What every page shows around its own content. `viewer` None: nobody is signed in.

    `alarms` are moments (Unix seconds) at which somebody signed in by a key, newest first, for those who must know.
    """

    lang: Language
    path: str
    viewer: Viewer | None = None
    menu: tuple[MenuEntry, ...] = ()
    alarms: tuple[float, ...] = ()
    query: Mapping[str, str] = {}
    now_us: int = 0
    request_id: str = ""


class Rendering:
    """Compiled templates and the words of all languages."""

    def __init__(self, assets: Assets) -> None:
        self.words: dict[Language, Words] = {each: load_words(each) for each in LANGUAGES}
        self._environment = Environment(
            loader=PackageLoader("gateway.console"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=printed,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        self._environment.filters |= {"when": when, "number": number, "duration": duration, "plain": plain}
        self._environment.globals["asset"] = assets.path

    def page(self, page: Page, frame: Frame) -> bytes:
        """The page as UTF-8. Raises jinja2's errors for a template that is missing or wrong."""
        template = self._environment.get_template(page.template)
        return template.render({**self._common(frame), **page.data}).encode("utf-8")

    def _common(self, frame: Frame) -> dict[str, Any]:
        return {
            "t": self.words[frame.lang].text,
            "worded": _worded(self.words[frame.lang], frame.lang),
            "lang": frame.lang,
            "languages": [(each, _in_language(frame, each)) for each in LANGUAGES if each != frame.lang],
            "viewer": frame.viewer,
            "menu": frame.menu,
            "alarms": frame.alarms,
            "path": frame.path,
            "now_us": frame.now_us,
            "request_id": frame.request_id,
            "csrf_field": _csrf_field(frame.viewer),
        }


def _worded(words: Words, lang: Language) -> Callable[[Line], str]:
    """A sentence in the page's language, or in English and marked as that, so that a screen reader reads it so."""

    def told(line: Line) -> str:
        known = words.said(line)
        if known is not None or lang == PRINTED:
            return known or str(line)
        return Markup('<span lang="{}">{}</span>').format(PRINTED, plain(str(line)))

    return told


def _csrf_field(viewer: Viewer | None) -> Callable[[], Markup]:
    def field() -> Markup:
        token = viewer.csrf if viewer is not None else ""
        return Markup('<input type="hidden" name="{}" value="{}">').format(CSRF_FIELD, token)

    return field


def _in_language(frame: Frame, language: Language) -> str:
    """This page's address in another language."""
    return f"{frame.path}?{urlencode({**frame.query, 'lang': language})}"
