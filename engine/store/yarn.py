"""A context longer than a model was trained on, by YaRN (Peng et al. 2023, arXiv:2309.00071). Pure.

Positions are squeezed by a factor where that does no harm: with 4, a model of 32,768 tokens reads 131,072. It costs
quality on short prompts too, so it is never switched on for a name that serves them: `corral models import FILE NAME
--yarn 4` makes a name of its own, over the same file.

In the store it is `rope_scaling` of the config blob, in the words that Hugging Face's config.json has for it.
"""

from typing import Any

from engine.store.gguf_header import GgufHeader

NONE = 1.0
MOST = 64.0
"""Published models go up to 8; beyond 32 the paper has nothing."""
_NAME = "rope_scaling"


def check_factor(factor: float) -> None:
    """Raises ValueError for a factor that stretches nothing, or beyond reason."""
    if not 1.0 < factor <= MOST:
        raise ValueError(f"the YaRN factor is {factor:g}: it must be above 1 and at most {MOST:g}")


def check_file(header: GgufHeader) -> None:
    """Raises ValueError for a model whose context cannot be stretched, or is already."""
    if not header.of_architecture("context_length"):
        raise ValueError("the file states no context length, so there is none to stretch")
    if header.of_architecture("attention.causal", True) is False:
        raise ValueError("the model reads a text at once, and YaRN is for models that write")
    stated = header.of_architecture("rope.scaling.type", "none")
    if stated != "none":
        raise ValueError(f"the file states a rope scaling of its own ({stated}): import it without --yarn")


def stretched(tokens: int, factor: float) -> int:
    """The context, in tokens, of a model trained on `tokens`."""
    return int(tokens * factor)


def written(trained_tokens: int, factor: float) -> dict[str, Any]:
    """What a config blob says of it; nothing for a factor of 1."""
    if factor == NONE:
        return {}
    return {_NAME: {"type": "yarn", "factor": factor, "original_max_position_embeddings": trained_tokens}}


def factor_in(config: dict[str, Any]) -> float:
    """The factor that a config blob states, 1 for none. Raises ValueError with the end of a sentence."""
    stated = config.get(_NAME)
    if stated is None:
        return NONE
    if not isinstance(stated, dict) or stated.get("type") != "yarn":
        raise ValueError("states a rope scaling that is not YaRN")
    factor = stated.get("factor")
    if not isinstance(factor, int | float) or not 1.0 < factor <= MOST:
        raise ValueError("states a YaRN factor that is none")
    return float(factor)
