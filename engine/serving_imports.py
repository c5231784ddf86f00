"""Imports what serving needs later than at the start: behind the second wall no module can be found any more.

Libraries import some modules inside of functions, when those are first called. Those that a request can reach are
named here, with who wants them; tests/unit/engine/test_serving_imports.py reads the sources and finds what is not
named. Our own modules import inside of functions too (behind the first wall, `engine.worker`); they are all loaded
by the time this runs.
"""

from importlib import import_module

ANY = ("linecache", "traceback", "tokenize", "encodings.latin_1", "encodings.ascii")
"""The last words of a process (engine.own_stderr), and codecs that Python finds by name."""
PREPARER = (
    "jinja2.debug",  # when a template fails
    "jinja2.constants",  # lipsum
    "pprint",  # the filter pprint
    "textwrap",  # the filter wordwrap
    "html",  # the filter striptags, through markupsafe
    "_strptime",  # datetime.strptime
    "unicodedata",  # names of characters in texts
    "llama_cpp.llama_grammar",  # JSON schemas
)


def import_for_worker() -> None:
    """All that a worker may import while it serves."""
    _import_all(ANY)


def import_for_preparer() -> None:
    """All that a preparer may import while it serves."""
    _import_all((*ANY, *PREPARER))


def _import_all(names: tuple[str, ...]) -> None:
    for name in names:
        import_module(name)
