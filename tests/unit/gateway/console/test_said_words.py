"""What commands and pages both say: every sentence that a page can show has words in every other language."""

import ast
import inspect
from collections import defaultdict
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

import gateway
import policies
from gateway.admin import act_arguments, duration, key_terms
from gateway.admin.admin_acts import ACTS
from gateway.audit.index import reviewed_spans, saved_queries
from gateway.console.auditing import asking, search_pages
from gateway.console.policy import patch_page
from gateway.console.words import BETWEEN, LANGUAGES, PLACEHOLDER, SAID, load_words
from policies.addresses.networks import read_network
from policies.auditing import search_filter
from policies.auditing.conditions import as_written
from policies.auditing.review import read_spans
from policies.credentials.key_record import check_scopes
from policies.limiting.limit_grant import LimitGrant
from policies.policy import Limits
from policies.policy_file import policy_patch

ROOMS = [Path(next(iter(room.__path__))) for room in (gateway, policies)]
OTHERS = [language for language in LANGUAGES if language != "en"]
FEEDING: tuple[ModuleType | FunctionType | type, ...] = (
    act_arguments, duration, key_terms, reviewed_spans, saved_queries, asking, search_pages, patch_page, search_filter,
    policy_patch, read_network, as_written, read_spans, check_scopes, LimitGrant, Limits,
)  # fmt: skip
"""What the acts and pages of the console call, and whose complaint stands on the page."""


def acting() -> set[ModuleType]:
    """The modules of the acts that pages perform, found by the names in the console's own source."""
    console = "\n".join(path.read_text("utf-8") for path in (ROOMS[0] / "console").rglob("*.py"))
    performed = [act for name, act in ACTS.items() if f'"{name}"' in console]
    assert len(performed) >= 10
    return {import_module(step.__module__) for act in performed for step in (act.plan, act.check) if step is not None}


def sentences() -> dict[str, set[frozenset[str]]]:
    """Every key that `worded` is called with, and what fills it, as often as it is called otherwise."""
    found: dict[str, set[frozenset[str]]] = defaultdict(set)
    for path in (path for room in ROOMS for path in room.rglob("*.py")):
        for call in calls_of("worded", ast.parse(path.read_text("utf-8"))):
            key = call.args[1]
            assert isinstance(key, ast.Constant), f"{path}:{call.lineno}: a key stands where it is used"
            found[str(key.value)].add(frozenset(str(each.arg) for each in call.keywords))
    return found


def calls_of(name: str, tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def is_sentence(node: ast.expr) -> bool:
    """A literal text with a blank: codes have none."""
    return any(isinstance(part, ast.Constant) and " " in str(part.value) for part in ast.walk(node))


def bare_lines(source: str) -> list[str]:
    """What is raised with an English sentence alone."""
    tree = ast.parse(source)
    bare = []
    for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
        named = {
            target.id
            for node in ast.walk(function)
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant | ast.JoinedStr)
            for target in node.targets
            if isinstance(target, ast.Name) and is_sentence(node.value)
        }
        for node in ast.walk(function):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                for given in node.exc.args:
                    literal = isinstance(given, ast.Constant | ast.JoinedStr) and is_sentence(given)
                    if literal or (isinstance(given, ast.Name) and given.id in named):
                        bare.append(ast.unparse(node))
    return bare


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_words_that_use_what_fills_it(language):
    texts = load_words(language).texts
    words = {key.removeprefix(f"{SAID}."): text for key, text in texts.items() if key.startswith(f"{SAID}.")}
    found = sentences()
    assert found.keys() == words.keys() - {BETWEEN.removeprefix(f"{SAID}.")}
    for key, fillings in found.items():
        for filling in fillings:
            assert set(PLACEHOLDER.findall(words[key])) == filling, key


def test_english_is_what_commands_print_and_stands_there_alone():
    assert [key for key in load_words("en").texts if key.startswith(f"{SAID}.")] == []


PARTS = (*sorted(acting(), key=lambda each: each.__name__), *FEEDING)


@pytest.mark.parametrize("part", PARTS, ids=lambda each: each.__name__)
def test_whatever_an_act_or_a_page_refuses_is_worded(part):
    assert bare_lines(inspect.getsource(part)) == []


@pytest.mark.parametrize(
    ("body", "raised"),
    [
        ('raise ActRefused("code", "in English alone")', True),
        ('raise ActRefused("code", f"no {key} here")', True),
        ('line = f"no {key} here"\n    raise ValueError(line)', True),
        ('line = f"no {key} here"\n    raise ValueError(worded(line, "no_key", key=key))', False),
        ('raise ActRefused("code", line_of(fault)) from fault', False),
        ('raise Turned(404, "audit.no_record")', False),
    ],
)
def test_a_bare_sentence_is_found(body, raised):
    assert bool(bare_lines(f"def act():\n    {body}\n")) is raised
