"""What lists and descriptions say of a model, drawn from its GGUF header; pure."""

from typing import Any

from engine.answers.answer_form import PLAIN, form_of
from engine.store.gguf_header import GgufHeader, LongArray
from engine.store.yarn import NO_YARN, Yarn
from policies.call import ModelDetails

SHOWN_ITEMS = 5  # Ollama's /api/show leaves longer arrays out
_HIDDEN_KEYS = ("general.name", "tokenizer.chat_template")
_ENCODERS = (
    "bert",
    "modern-bert",
    "neo-bert",
    "nomic-bert",
    "nomic-bert-moe",
    "jina-bert-v2",
    "jina-bert-v3",
    "t5encoder",
)
_BILLION, _MILLION, _THOUSAND = 10**9, 10**6, 10**3


def details_of(header: GgufHeader) -> ModelDetails:
    """Family, size and lengths, in Ollama's words."""
    return ModelDetails(
        format="gguf",
        family=header.architecture,
        families=(header.architecture,),
        parameter_size=human_count(header.parameter_count),
        quantization_level=header.quantization,
        context_length=_number(header, "context_length"),
        embedding_length=_number(header, "embedding_length"),
    )


def capabilities_of(header: GgufHeader) -> tuple[str, ...]:
    """`completion` for whatever can write, `embedding` for a model made for vectors; `tools` and `thinking` where the
    chat template shows a form of them that is read here (engine.answers). Never `insert`.
    """
    writes = header.architecture not in _ENCODERS and header.of_architecture("attention.causal", True) is not False
    embeds = header.of_architecture("pooling_type") is not None
    template = header.metadata.get("tokenizer.chat_template")
    form = form_of(template) if writes and isinstance(template, str) else PLAIN
    having = {
        "completion": writes,
        "tools": bool(form.tools),
        "thinking": bool(form.think_open),
        "embedding": embeds or not writes,
    }
    return tuple(name for name, has in having.items() if has)


def shown_info(header: GgufHeader, yarn: Yarn = NO_YARN) -> dict[str, Any]:
    """`model_info` of /api/show: the file's keys without name and template; long arrays are None.

    A context that is stretched stands there as in a file that states it.
    """
    info: dict[str, Any] = {"general.parameter_count": header.parameter_count}
    for key, value in header.metadata.items():
        if key not in _HIDDEN_KEYS:
            info[key] = _shown(value)
    if yarn.stretches:
        scaling = {"type": "yarn", "factor": yarn.factor, "original_context_length": yarn.original_tokens}
        info |= {f"{header.architecture}.rope.scaling.{key}": value for key, value in scaling.items()}
        info[f"{header.architecture}.context_length"] = yarn.tokens(0)
    return info


def human_count(count: int) -> str:
    """134515008 -> "134.52M": Ollama's rounding, which clients compare and show."""
    if count >= _BILLION:
        return f"{count / _BILLION:.0f}B" if count % _BILLION == 0 else f"{count / _BILLION:.1f}B"
    if count >= _MILLION:
        return f"{count / _MILLION:.0f}M" if count % _MILLION == 0 else f"{count / _MILLION:.2f}M"
    return f"{count / _THOUSAND:.0f}K" if count >= _THOUSAND else str(count)


def _shown(value: Any) -> Any:
    if isinstance(value, LongArray):
        return None
    if isinstance(value, tuple):
        return list(value) if len(value) <= SHOWN_ITEMS else None
    return value


def _number(header: GgufHeader, key: str) -> int:
    value = header.of_architecture(key, 0)
    return value if isinstance(value, int) else 0
