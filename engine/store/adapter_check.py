"""Refuses a GGUF file that cannot be a LoRA adapter of one base model, before a C parser sees one byte of it.

llama.cpp compares the first two dimensions of each pair with the base and trusts the rest: a wrong expert count
writes out of bounds at the first decode (its issue 29128), an adapter of tied embeddings fails an assertion there,
and norm weights are left out without a word. What is held to, in this order:

 (1) structure, as of any GGUF file: rules (1) to (4) of `gguf_check`
 (2) it says that it is an adapter of type lora, with a finite alpha; one that begins to act at certain tokens
     (activated LoRA) is refused, since it would act on all of them here
 (3) its architecture is the base model's
 (4) its tensors are pairs, NAME.lora_a and NAME.lora_b, for weights NAME that the base has; nothing else
 (5) shapes: with the base's `in` x `out` x experts, a is `in` x rank and b is rank x `out`, the experts behind both;
     of the token embedding a is rank x tokens and b rank x width, and only where the output has weights of its own
 (6) ranks from 1 to `MAX_RANK`; types that llama.cpp's converter writes

Not decided here: whether the weights are finite (the worker decodes once with each adapter), and whether the adapter
was made for this very base and not for another of its shape, which nothing in the file tells.
"""

from pathlib import Path
from typing import BinaryIO

from engine.store.gguf_agreement import EMBEDDING
from engine.store.gguf_check import parse_whole_file
from engine.store.gguf_header import GgufFault, GgufHeader, Tensor

MAX_RANK = 1024  # the largest in use are 256 to 512; it bounds memory and the time of a step
MAX_ALPHA = 65536.0  # usually once or twice the rank
OUTPUT = "output.weight"
ALPHA = "adapter.lora.alpha"
FLOAT32 = 6  # llama.cpp asserts that alpha is of this type
INVOCATION = "adapter.alora.invocation_tokens"
PAIR = (".lora_a", ".lora_b")
MATRIX_TYPES = frozenset({"F32", "F16", "BF16", "Q8_0"})
UNADAPTABLE_TYPES = frozenset({"NVFP4"})  # llama.cpp asserts that such weights have no adapter


def read_adapter(path: Path, base: GgufHeader) -> GgufHeader:
    """The header of the adapter at `path` for `base`. Raises GgufFault for its content and OSError for the disk."""
    with path.open("rb") as file:
        return parse_adapter(file, path.stat().st_size, base)


def parse_adapter(file: BinaryIO, size_bytes: int, base: GgufHeader) -> GgufHeader:
    """The header of an open file of `size_bytes`. Raises GgufFault and nothing else for its content."""
    adapter = parse_whole_file(file, size_bytes)
    _check_kind(adapter)
    if adapter.architecture != base.architecture:
        raise GgufFault("the adapter is of another architecture than the base model")
    weights = {tensor.name: tensor for tensor in base.tensors}
    pairs = _pairs(adapter)
    for number, (name, (a, b)) in enumerate(pairs.items(), 1):
        _check_pair(number, a, b, weights.get(name), tied=OUTPUT not in weights)
    return adapter


def rank_of(adapter: GgufHeader) -> int:
    """The largest rank of a checked adapter."""
    return max(tensor.shape[0] for tensor in adapter.tensors if tensor.name.endswith(PAIR[1]))


def alpha_of(adapter: GgufHeader) -> float:
    """The factor of a checked adapter: its effect is scaled by alpha / rank, or not at all where alpha is 0."""
    return float(adapter.metadata.get(ALPHA, 0.0))


def _check_kind(adapter: GgufHeader) -> None:
    if adapter.metadata.get("general.type") != "adapter":
        raise GgufFault("the file is no adapter: import it as a model, or make one with convert_lora_to_gguf.py")
    if adapter.metadata.get("adapter.type") != "lora":
        raise GgufFault("the adapter is not of the type lora, the only one that is loaded")
    if INVOCATION in adapter.metadata:
        raise GgufFault("the adapter acts from certain tokens on (activated LoRA), which is not supported")
    # Written so that not-a-number is refused too.
    if adapter.value_types.get(ALPHA, FLOAT32) != FLOAT32 or not 0 <= alpha_of(adapter) <= MAX_ALPHA:
        raise GgufFault(f"{ALPHA} is not a fraction of 32 bits from 0 to {MAX_ALPHA:g}")


def _pairs(adapter: GgufHeader) -> dict[str, tuple[Tensor, Tensor]]:
    """Both matrices by the name of the weights they change."""
    found: dict[str, dict[str, Tensor]] = {}
    for number, tensor in enumerate(adapter.tensors, 1):
        suffix = tensor.name[-len(PAIR[0]) :]
        if suffix not in PAIR:
            raise GgufFault(f"tensor {number} is neither NAME.lora_a nor NAME.lora_b; nothing else is applied")
        found.setdefault(tensor.name.removesuffix(suffix), {})[suffix] = tensor
    for number, matrices in enumerate(found.values(), 1):
        if len(matrices) != len(PAIR):
            raise GgufFault(f"pair {number} of the adapter lacks one of its two matrices")
    if not found:
        raise GgufFault("the adapter has no tensors")
    return {name: (matrices[PAIR[0]], matrices[PAIR[1]]) for name, matrices in found.items()}


def _check_pair(number: int, a: Tensor, b: Tensor, weights: Tensor | None, *, tied: bool) -> None:
    if weights is None:
        raise GgufFault(f"pair {number} of the adapter is for weights that the base model does not have")
    if weights.type in UNADAPTABLE_TYPES or len(weights.shape) < 2:
        raise GgufFault(f"pair {number} of the adapter is for weights that take no adapter")
    if not {a.type, b.type} <= MATRIX_TYPES:
        raise GgufFault(f"pair {number} of the adapter is of a type other than {', '.join(sorted(MATRIX_TYPES))}")
    is_embedding = weights.name == EMBEDDING
    if is_embedding and tied:
        raise GgufFault(f"pair {number} of the adapter changes an embedding that is the output too, which would fail")
    rank = b.shape[0]
    if not 1 <= rank <= MAX_RANK:
        raise GgufFault(f"pair {number} of the adapter has rank {rank}; it must be 1 to {MAX_RANK}")
    width, rows, *experts = weights.shape
    wanted = ((rank, rows), (rank, width)) if is_embedding else ((width, rank, *experts), (rank, rows, *experts))
    if (_trimmed(a.shape), _trimmed(b.shape)) != tuple(map(_trimmed, wanted)):
        raise GgufFault(
            f"pair {number} of the adapter is {_times(a.shape)} and {_times(b.shape)}; for this base model it "
            f"should be {_times(wanted[0])} and {_times(wanted[1])}"
        )


def _trimmed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without the ones at its end, which mean nothing."""
    end = max((index for index, size in enumerate(shape, 1) if size != 1), default=0)
    return shape[:end]


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
