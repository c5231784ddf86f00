"""The words: both languages whole, every key used, and the choice of a language."""

import json
import re
from pathlib import Path

import pytest

import gateway.console
from gateway.admin.admin_acts import ACTS
from gateway.console.page import Language
from gateway.console.words import LANGUAGES, PLACEHOLDER, SAID, Words, chosen_language, load_words
from policies.audit_record import EVENTS
from policies.policy_file.deciding_setting import STEPS

CONSOLE = Path(gateway.console.__file__).parent
PARTS = sorted(path.stem for path in (CONSOLE / "words" / "en").glob("*.json"))
NAMED = re.compile(r"""["']((?:PARTS)\.[a-z0-9_]+)["']""".replace("PARTS", "|".join(PARTS)))
PREFIX = re.compile(r"""f?["']((?:PARTS)\.[a-z0-9_]*)(?:["']\s*~|\{)""".replace("PARTS", "|".join(PARTS)))
CHINESE = re.compile(r"[\u3400-\u9fff]")
SAME_IN_BOTH = frozenset({"frame.name"})
ENGLISH_PART = re.compile(r"\btokens?\b", re.IGNORECASE)


def sources() -> str:
    files = [path for kind in ("*.py", "*.html", "*.js") for path in CONSOLE.rglob(kind) if "uPlot" not in path.name]
    return "\n".join(path.read_text("utf-8") for path in files)


def own(language: Language) -> dict[str, str]:
    """The console's own texts; those of `Worded` are judged in test_said_words.py."""
    texts = load_words(language).texts
    return {key: text for key, text in texts.items() if not key.startswith(f"{SAID}.")}


def test_both_languages_have_the_same_parts_keys_and_placeholders():
    assert sorted(path.stem for path in (CONSOLE / "words" / "zh").glob("*.json") if path.stem != SAID) == PARTS
    english, chinese = own("en"), own("zh")
    assert english.keys() == chinese.keys()
    for key, text in english.items():
        assert set(PLACEHOLDER.findall(text)) == set(PLACEHOLDER.findall(chinese[key])), key


def test_every_key_that_is_named_exists():
    known = load_words("en").texts.keys()
    files = {path.name for path in CONSOLE.rglob("*")} | {"policy.yaml"}
    named = {key for key in NAMED.findall(sources()) if key not in files and not key.endswith("_")}
    events = {key for key in named if key in EVENTS or key in ACTS}  # of the log, and acts
    assert named - events - known == set()
    in_templates = "\n".join(path.read_text("utf-8") for path in CONSOLE.rglob("*.html"))
    told = set(re.findall(r"""\bt\(["']([a-z]+\.[a-z0-9_]+)["'][,)]""", in_templates))
    assert told
    assert told - known == set()


def test_no_key_is_left_that_nothing_names():
    text = sources()
    named, prefixes = set(NAMED.findall(text)), tuple(PREFIX.findall(text))
    unused = [key for key in load_words("en").texts if key not in named and not key.startswith(prefixes)]
    assert unused == []


def test_chinese_is_chinese():
    chinese = load_words("zh").texts
    bare = [key for key, text in chinese.items() if not CHINESE.search(text) and key not in SAME_IN_BOTH]
    worded = [key for key in bare if len(re.findall(r"[a-z]{4,}", PLACEHOLDER.sub("", chinese[key]))) > 1]
    assert worded == []


def test_what_a_model_reads_and_writes_is_called_one_thing_in_chinese():
    assert [key for key, text in load_words("zh").texts.items() if ENGLISH_PART.search(text)] == []


def test_the_steps_of_a_request_are_named_as_the_command_names_them():
    english = load_words("en").texts
    steps = {key: text for key, text in english.items() if key.startswith("policy.step_")}
    assert steps == {f"policy.step_{number}": name for number, name in enumerate(STEPS)}


def test_a_text_is_filled_and_a_missing_value_or_key_is_an_error():
    words = Words({"a.b": "{count} of {all}"})
    assert words.text("a.b", count=1, all=2) == "1 of 2"
    with pytest.raises(KeyError):
        words.text("a.b", count=1)
    with pytest.raises(KeyError):
        words.text("a.c")


def test_a_value_is_never_read_as_a_placeholder():
    assert Words({"a.b": "{one} {two}"}).text("a.b", one="{two}", two="x") == "{two} x"


def test_no_key_stands_twice_within_a_part():
    for language in LANGUAGES:
        for part in (*PARTS, SAID) if language == "zh" else PARTS:
            pairs: list[str] = []
            json.loads(
                (CONSOLE / "words" / language / f"{part}.json").read_text("utf-8"),
                object_pairs_hook=lambda found, pairs=pairs: pairs.extend(key for key, _ in found),
            )
            assert len(pairs) == len(set(pairs)), part


@pytest.mark.parametrize(
    ("asked", "kept", "accepted", "chosen"),
    [
        ("", "", "", "en"),
        ("zh", "en", "en", "zh"),
        ("en", "zh", "zh", "en"),
        ("", "zh", "en", "zh"),
        ("xx", "zh", "en", "zh"),
        ("xx", "yy", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("", "", "de, en;q=0.5, zh;q=0.7", "zh"),
        ("", "", "zh;q=0, en", "en"),
        ("", "", "zh;q=wrong", "en"),
        ("", "", "*, zh;q=0.1", "zh"),
        ("", "", "!!!,,", "en"),
    ],
)
def test_the_language_is_asked_for_kept_or_wished(asked, kept, accepted, chosen):
    assert chosen_language(asked, kept, accepted) == chosen
