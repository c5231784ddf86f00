"""Refuses a GGUF file that cannot be a projector this release serves, before a C parser sees one byte of it.

A projector turns a picture into rows that a model reads like tokens. mtmd, which loads it, asserts on the types of
its keys, takes missing weights for null and trusts shapes (CVE-2025-15514, a null pointer in this place). In order:

 (1) structure, as of any GGUF file: rules (1) to (4) of `gguf_check`
 (2) it says that it is a projector with a vision encoder, of a family in `FAMILIES`; one that cuts a picture into
     tiles is refused, since then the number of rows follows from the picture, and a request is priced before
 (3) its keys have the types that mtmd asserts, and plausible values; patches fill the image in whole
 (4) the weights that its family's graph reads are there, with the shapes that follow from the keys; those that it reads
     where they are there have theirs too, and there are no others of the encoder, which mtmd may read for some family
 (5) its rows are as wide as the base model's

Families with rotated two-dimensional positions (Qwen2-VL and its kin) are not served: a slot counts one position
a token. Not decided here: whether the weights are finite (the worker looks at one picture as it starts).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from engine.store.gguf_check import parse_whole_file
from engine.store.gguf_header import GgufFault, GgufHeader

ARCHITECTURE = "clip"
MAX_IMAGE_SIZE = 1344  # the largest square in use (LLaVA 336, SigLIP 896, DeepSeek-OCR 1280)
MAX_PATCHES = 4096  # attention of the encoder takes patches squared
UINT32, FLOAT32, BOOL, ARRAY = 4, 6, 7, 9
_NUMBERS = {
    "image_size": (1, MAX_IMAGE_SIZE),
    "patch_size": (1, MAX_IMAGE_SIZE),
    "embedding_length": (1, 65536),
    "feed_forward_length": (1, 2**20),
    "projection_dim": (0, 2**20),
    "block_count": (1, 512),
    "attention.head_count": (1, 4096),
}
_LAYER_SQUARES = ("attn_q", "attn_k", "attn_v", "attn_out")
_LAYER_NORMS = ("ln1", "ln2")


@dataclass(frozen=True, slots=True)
class Family:
    """One kind of projector: what stands around a picture in the prompt, and by how much each side shrinks."""

    before: str = ""
    after: str = ""
    default_shrink: int = 1


FAMILIES = {
    "mlp": Family(),  # LLaVA 1.5
    "gemma3": Family("<start_of_image>", "<end_of_image>", default_shrink=4),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Projector:
    """What a request needs to know of a projector: `tokens` rows a picture, whatever its size, which the model sees
    scaled into a square of `image_size` pixels; `before` and `after` are texts around it, control tokens mostly.
    """

    image_size: int
    tokens: int
    width: int
    before: str = ""
    after: str = ""


def read_projector(path: Path, base: GgufHeader | None = None) -> GgufHeader:
    """The header of the projector at `path`, for `base` where that is known. Raises GgufFault and OSError."""
    with path.open("rb") as file:
        return parse_projector(file, path.stat().st_size, base)


def parse_projector(file: BinaryIO, size_bytes: int, base: GgufHeader | None = None) -> GgufHeader:
    """The header of an open file of `size_bytes`. Raises GgufFault and nothing else for its content."""
    header = parse_whole_file(file, size_bytes)
    _check_kind(header)
    _check_numbers(header)
    facts = projector_of(header)
    _check_tensors(header, facts)
    width = base.of_architecture("embedding_length") if base else None
    if isinstance(width, int) and width != facts.width:
        raise GgufFault(
            f"the projector makes rows of {facts.width} numbers and the model reads rows of {width}: "
            "take the projector that was made for this model"
        )
    return header


def projector_of(header: GgufHeader) -> Projector:
    """The facts of a header whose kind and numbers were checked. Raises GgufFault."""
    family = FAMILIES[_family(header)]
    image, patch = _vision(header, "image_size"), _vision(header, "patch_size")
    if image % patch or (image // patch) ** 2 > MAX_PATCHES:
        raise GgufFault(f"patches of {patch} pixels do not fill an image of {image}, or are more than {MAX_PATCHES}")
    shrink = _vision(header, "projector.scale_factor", family.default_shrink) if family.default_shrink > 1 else 1
    side = image // patch
    if not isinstance(shrink, int) or not 0 < shrink <= side or side % shrink:
        raise GgufFault(f"the projector's scale_factor does not divide the {side} patches of a side")
    return Projector(
        image_size=image,
        tokens=(side // shrink) ** 2,
        width=_row_width(header),
        before=family.before,
        after=family.after,
    )


def _check_kind(header: GgufHeader) -> None:
    if header.architecture != ARCHITECTURE:
        raise GgufFault("the file is no projector: its architecture is not 'clip'")
    if header.metadata.get("clip.has_vision_encoder") is not True:
        raise GgufFault("the projector has no vision encoder")
    if _family(header) not in FAMILIES:
        raise GgufFault(f"the projector is of a type that is not served; these are: {', '.join(sorted(FAMILIES))}")
    if header.metadata.get("clip.vision.image_grid_pinpoints"):
        raise GgufFault("the projector cuts pictures into tiles, which is not served: LLaVA 1.5 does not")
    for name in ("clip.has_audio_encoder", "clip.has_gen_audio_encoder"):
        if header.metadata.get(name):
            raise GgufFault("the projector reads sound too, which is not served")


def _check_numbers(header: GgufHeader) -> None:
    for key, (low, high) in _NUMBERS.items():
        value = _typed(header, key, UINT32)
        if not low <= value <= high:
            raise GgufFault(f"the projector's {key} is not a number from {low} to {high}")
    if "clip.vision.projector.scale_factor" in header.metadata:
        _typed(header, "projector.scale_factor", UINT32)
    if not 0 < _typed(header, "attention.layer_norm_epsilon", FLOAT32) < 1:  # also refuses NaN
        raise GgufFault("the projector's attention.layer_norm_epsilon is not a small positive number")
    for key in ("image_mean", "image_std"):
        values = _typed(header, key, ARRAY)
        usable = isinstance(values, tuple) and all(isinstance(one, float) and math.isfinite(one) for one in values)
        if not usable or len(values) != 3 or (key == "image_std" and 0.0 in values):
            raise GgufFault(f"the projector's {key} is not three usable fractions")
    if _vision(header, "embedding_length") % _vision(header, "attention.head_count"):
        raise GgufFault("the projector's attention.head_count does not divide its embedding_length")
    for name in ("clip.use_gelu", "clip.use_silu", "clip.has_vision_encoder"):
        if header.value_types.get(name, BOOL) != BOOL:
            raise GgufFault(f"{name} is not true or false")


def _check_tensors(header: GgufHeader, facts: Projector) -> None:
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    for name, shape in _needed(header, facts):
        found = shapes.get(name)
        if found is None:
            raise GgufFault(f"the projector has no tensor {name}")
        if found != shape:
            raise GgufFault(f"the projector's {name} has another shape than its keys demand")
    for name in ("mm.1.weight", "mm.3.weight", "mm.4.weight"):
        if name in shapes:
            raise GgufFault(f"the projector has a tensor {name}: its kind of projection is not served")
    _check_other_tensors(header, shapes, {name for name, _ in _needed(header, facts)})


def _check_other_tensors(header: GgufHeader, shapes: dict[str, tuple[int, ...]], needed: set[str]) -> None:
    """The weights beside the `needed` ones, rule (4)."""
    optional, layers = dict(_optional(header, shapes)), _vision(header, "block_count")
    for name, shape in shapes.items():
        if name in needed or not name.startswith(("v.", "mm.")) or _layer(name) >= layers:
            continue  # the last: of layers that the keys leave out, which nobody reads
        if name not in optional:
            raise GgufFault(f"the projector has a tensor {name}, which is not of its family")
        if shape != optional[name]:
            raise GgufFault(f"the projector's {name} has another shape than its keys demand")


def _optional(header: GgufHeader, shapes: dict[str, tuple[int, ...]]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor that both families' graph reads where the file has it, and its shape."""
    width = _vision(header, "embedding_length")
    yield from ((name, (width,)) for name in ("v.class_embd", "v.patch_embd.bias"))
    yield from ((f"v.{name}.{part}", (width,)) for name in ("pre_ln", "post_ln") for part in ("weight", "bias"))
    for layer in range(_vision(header, "block_count")):
        yield from ((f"v.blk.{layer}.{name}.bias", (width,)) for name in (*_LAYER_SQUARES, *_LAYER_NORMS))
        for name in ("ffn_up", "ffn_down"):
            yield f"v.blk.{layer}.{name}.bias", shapes[f"v.blk.{layer}.{name}.weight"][1:]


def _layer(name: str) -> int:
    """The layer that a tensor belongs to, -1 for none."""
    first, _, rest = name.removeprefix("v.").partition(".")
    number = rest.partition(".")[0]
    return int(number) if first == "blk" and number.isdecimal() and number.isascii() else -1


def _needed(header: GgufHeader, facts: Projector) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each tensor that the graph of the family reads, and its shape."""
    shapes = {tensor.name: tensor.shape for tensor in header.tensors}
    width, inner = _vision(header, "embedding_length"), _vision(header, "feed_forward_length")
    patch = _vision(header, "patch_size")
    positions = (facts.image_size // patch) ** 2 + ("v.class_embd" in shapes)
    yield "v.patch_embd.weight", (patch, patch, 3, width)
    yield "v.position_embd.weight", (width, positions)
    for layer in range(_vision(header, "block_count")):
        yield from ((f"v.blk.{layer}.{name}.weight", (width, width)) for name in _LAYER_SQUARES)
        yield from ((f"v.blk.{layer}.{name}.weight", (width,)) for name in _LAYER_NORMS)
        # Old converters swapped the two names, and mtmd swaps them back.
        up = (width, inner) if shapes.get(f"v.blk.{layer}.ffn_up.weight", (width,))[0] == width else (inner, width)
        yield f"v.blk.{layer}.ffn_up.weight", up
        yield f"v.blk.{layer}.ffn_down.weight", up[::-1]
    if _family(header) == "gemma3":
        yield "mm.soft_emb_norm.weight", (width,)
        yield "mm.input_projection.weight", (facts.width, width)
        return
    hidden = shapes.get("mm.0.weight", (0, 0))[-1]
    yield "mm.0.weight", (width, hidden)
    yield "mm.0.bias", (hidden,)
    yield "mm.2.weight", (hidden, facts.width)
    yield "mm.2.bias", (facts.width,)


def _row_width(header: GgufHeader) -> int:
    name, dimension = ("mm.input_projection.weight", 0) if _family(header) == "gemma3" else ("mm.2.weight", 1)
    shape = next((tensor.shape for tensor in header.tensors if tensor.name == name), ())
    if len(shape) != 2:
        raise GgufFault(f"the projector has no matrix {name}")
    return shape[dimension]


def _family(header: GgufHeader) -> str:
    value = header.metadata.get("clip.projector_type") or header.metadata.get("clip.vision.projector_type")
    return value if isinstance(value, str) else ""


def _vision(header: GgufHeader, key: str, default: Any = None) -> Any:
    return header.metadata.get(f"clip.vision.{key}", default)


def _typed(header: GgufHeader, key: str, kind: int) -> Any:
    """The value of `clip.vision.key`, of the very type that mtmd asserts. Raises GgufFault."""
    name = f"clip.vision.{key}"
    if header.value_types.get(name) != kind:
        words = {UINT32: "a 32-bit whole number", FLOAT32: "a 32-bit fraction", ARRAY: "a list"}[kind]
        raise GgufFault(f"the projector's {key} is not {words}")
    return header.metadata[name]
