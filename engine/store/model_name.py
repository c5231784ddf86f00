"""How a model is named: `[namespace/]model[:tag]`, Ollama's grammar without its host part.

 (1) surrounding white space is dropped; anything but ASCII is refused (look-alikes)
 (2) `registry.ollama.ai/` in front is folded away; any other host is refused: it would be fetched from
 (3) the namespace defaults to `library`, the tag to `latest`; each part is 1 to 80 characters, begins with
     a letter, a digit or `_`, and goes on with those, `-` and (not in a namespace) `.`
 (4) the tag `cloud`, or one that ends in `-cloud`, is refused: the prompt would leave the premises
 (5) names are compared without case; the spelling in the store is the one that is shown

Whether such a model exists and whom it is for is decided elsewhere.
"""

import re
from dataclasses import dataclass

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"
MAX_NAME_LENGTH = 350 + 3 * 81  # Ollama's bounds on host and three parts, with separators

_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}\Z")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}\Z")


@dataclass(frozen=True, slots=True)
class ModelName:
    """One parsed name, in the caller's spelling."""

    model: str
    tag: str = DEFAULT_TAG
    namespace: str = DEFAULT_NAMESPACE

    @property
    def display(self) -> str:
        """The shortest unambiguous form, always with tag."""
        front = "" if self.namespace.lower() == DEFAULT_NAMESPACE else f"{self.namespace}/"
        return f"{front}{self.model}:{self.tag}"

    @property
    def key(self) -> str:
        """What two spellings of one name have in common."""
        return self.display.lower()


def parse_model_name(text: str) -> ModelName:
    """Read a caller's name. Raises ValueError with a sentence that repeats nothing of a foreign alphabet."""
    name = text.strip()
    if not name:
        raise ValueError("the model name is empty")
    if len(name) > MAX_NAME_LENGTH or not name.isascii():
        raise ValueError("a model name is plain ASCII and at most 80 characters a part")
    *front, last = _without_default_host(name).split("/")
    if len(front) > 1 or "://" in name:
        raise ValueError(f"model name {name!r} names a host; only models of this store can be used")
    namespace = front[0] if front else DEFAULT_NAMESPACE
    model, colon, tag = last.partition(":")
    parsed = ModelName(model, tag if colon else DEFAULT_TAG, namespace)
    _check(parsed, name)
    return parsed


def is_model_name(text: str) -> bool:
    """Whether `parse_model_name` takes `text`."""
    try:
        parse_model_name(text)
    except ValueError:
        return False
    return True


def _without_default_host(name: str) -> str:
    host, slash, rest = name.partition("/")
    return rest if slash and host.lower() == DEFAULT_HOST else name


def _check(parsed: ModelName, name: str) -> None:
    if not (_NAMESPACE.match(parsed.namespace) and _PART.match(parsed.model) and _PART.match(parsed.tag)):
        raise ValueError(
            f"model name {name!r} is not MODEL or MODEL:TAG, each of letters, digits, '_', '-' and '.', "
            "beginning with a letter, a digit or '_'"
        )
    if parsed.tag.lower() == "cloud" or parsed.tag.lower().endswith("-cloud"):
        raise ValueError(f"model name {name!r} asks for a model that runs in a cloud; none is ever used")
