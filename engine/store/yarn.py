"""A context longer than a model was trained on, by YaRN (Peng et al. 2023, arXiv:2309.00071). Pure.

Positions are squeezed by a factor where that does no harm: with 4, a model trained on 32,768 tokens reads 131,072. It
costs quality on short prompts too, so it is never switched on for a name that serves them: `corral models import FILE
NAME --yarn 4` makes a name of its own, over the same file. The number that is stretched is what the model was trained
on, which a file may state larger: Qwen3's say 40,960 and its publisher's recipe begins from 32,768.

In the store it is `rope_scaling` of the config blob, in the words that Hugging Face's config.json has for it.
"""

from typing import Any

from msgspec import Struct

from engine.store.gguf_header import GgufHeader

MOST = 64.0
"""Published models go up to 8; beyond 32 the paper has nothing."""
LEAST_TOKENS, MOST_TOKENS = 64, 2**24
ARCHITECTURES = frozenset({"llama", "mistral3", "qwen2", "qwen2moe", "qwen3", "qwen3moe"})
"""Plain rotary positions over the whole head, so that YaRN is what its paper says. Others learn a table of positions,
past whose end llama.cpp aborts (gpt2), have none, or have a scaling of their own."""
_NAME = "rope_scaling"
_SCALES = ("rope.scaling.factor", "rope.scale_linear")
_OWN_SCALING = ("rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight")
_POSITIONS = "position_embd.weight"


class Yarn(Struct, frozen=True):
    """`factor` times `original_tokens` is the context; a factor of 1 is none. With 0 tokens the file's own count."""

    factor: float = 1.0
    original_tokens: int = 0

    @property
    def stretches(self) -> bool:
        return self.factor != 1.0

    def tokens(self, stated: int) -> int:
        """The context of a model whose file states `stated` tokens."""
        return int(self.factor * (self.original_tokens or stated)) if self.stretches else stated

    def __str__(self) -> str:
        return f"{self.factor!r}:{self.original_tokens}"


NO_YARN = Yarn()


def read_yarn(text: str) -> Yarn:
    """What `str` of one wrote. Raises ValueError."""
    factor, _, tokens = text.partition(":")
    return Yarn(float(factor), int(tokens))


def checked(asked: Yarn, header: GgufHeader) -> Yarn:
    """What is `asked` for the file, its tokens filled in. Raises ValueError for what cannot be stretched so."""
    if not 1.0 < asked.factor <= MOST:
        raise ValueError(f"the YaRN factor is {asked.factor:g}: it must be above 1 and at most {MOST:g}")
    _check_file(header)
    stated = header.of_architecture("context_length")
    if not isinstance(stated, int) or not stated:
        raise ValueError("the file states no context length, so there is none to stretch")
    original = asked.original_tokens or stated
    if not LEAST_TOKENS <= original <= stated:
        raise ValueError(
            f"the YaRN original is {original} tokens: it must be {LEAST_TOKENS} to {stated}, the file's own"
        )
    return Yarn(asked.factor, original)


def written(yarn: Yarn) -> dict[str, Any]:
    """What a config blob says of it; nothing for none."""
    if not yarn.stretches:
        return {}
    return {_NAME: {"type": "yarn", "factor": yarn.factor, "original_max_position_embeddings": yarn.original_tokens}}


def yarn_in(config: dict[str, Any]) -> Yarn:
    """What a config blob states. Raises ValueError with the end of a sentence."""
    stated = config.get(_NAME)
    if stated is None:
        return NO_YARN
    if not isinstance(stated, dict) or stated.get("type") != "yarn":
        raise ValueError("states a rope scaling that is not YaRN")
    factor, tokens = stated.get("factor"), stated.get("original_max_position_embeddings")
    if not isinstance(factor, int | float) or not 1.0 < factor <= MOST:
        raise ValueError("states a YaRN factor that is none")
    if type(tokens) is not int or not 0 < tokens <= MOST_TOKENS:
        raise ValueError("states a YaRN without the tokens that it stretches")
    return Yarn(float(factor), tokens)


def _check_file(header: GgufHeader) -> None:
    if header.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise ValueError(f"the architecture {header.architecture} is none that YaRN is known for ({known})")
    if header.of_architecture("attention.causal", True) is False:
        raise ValueError("the model reads a text at once, and YaRN is for models that write")
    names = {tensor.name for tensor in header.tensors}
    if _POSITIONS in names:
        raise ValueError("the model has a table of positions, which ends where it ends")
    if own := _own_scaling(header, names):
        raise ValueError(f"the file states a rope scaling of its own ({own}): import it without --yarn")


def _own_scaling(header: GgufHeader, names: set[str]) -> str:
    """What llama.cpp would scale by; a factor without a type is a linear one to it."""
    stated = str(header.of_architecture("rope.scaling.type", "none"))
    if stated != "none":
        return stated
    for key in _SCALES:
        if header.of_architecture(key, 0) not in (0, 1):
            return key
    return next((name for name in _OWN_SCALING if name in names), "")
