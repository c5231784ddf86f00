"""Reads the header of a GGUF file without trusting one number in it.

A file comes from a stranger, and the C++ parser aborts or worse on some of what it may claim. Here every
length is compared with what the file still holds before a byte is read, and bounded besides:

 (1) magic and version: 2 or 3, little-endian; older and foreign formats are named with the remedy
 (2) counts, string lengths, array lengths and nesting stay below the bounds here and below what the rest of
     the file can hold (CVE-2026-65315); keys are unique
 (3) arrays longer than `KEPT_ITEMS` are walked but not kept, so that memory follows the bounds, not the file
 (4) each tensor: a known type, one to four dimensions whose product does not overflow, whole blocks in a row,
     an aligned offset, and all its bytes inside the file (a truncated copy fails here)
 (5) the numbers that llama.cpp is known to abort on (layer count, epsilon, token ids) are plausible

Everything wrong is a `GgufFault`, which quotes nothing of the file but numbers: entries are named by their
place in it. Whether the parts fit each other is `gguf_check`'s. Format: ggml/docs/gguf.md of llama.cpp.
"""

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from engine.store.gguf_types import ARRAY, BOOL, FILE_TYPES, FOREIGN_MAGICS, STRING, TENSOR_TYPES, VALUE_FORMATS

MAX_HEADER_BYTES = 128 * 1024 * 1024  # the largest vocabularies with merges need about 25 MB
MAX_KEYS = 8192
MAX_KEY_BYTES = 1024
MAX_STRING_BYTES = 4 * 1024 * 1024  # chat templates reach 100 kB, licences 50 kB
MAX_ARRAY_ITEMS = 8 * 1024 * 1024
MAX_DISTINCT_ITEMS = 1024 * 1024  # each is held in memory; the largest vocabularies have a quarter of that
MAX_TENSORS = 65536
MAX_TENSOR_NAME_BYTES = 63  # GGML_MAX_NAME counts the zero at the end
MAX_DIMENSIONS = 4  # GGML_MAX_DIMS
MIN_ALIGNMENT_BYTES, MAX_ALIGNMENT_BYTES = 8, 65536  # the widest item is 8 bytes; 64 KiB is the largest page
MAX_WEIGHTS = 2**63 - 1
KEPT_ITEMS = 1024
DEFAULT_ALIGNMENT_BYTES = 32
_WINDOW_BYTES = 1024 * 1024
# What the smallest entry takes, so that a count is refused before one entry of it is read.
_KEY_ENTRY_BYTES = 8 + 4 + 1  # length of the name, type, value
_TENSOR_ENTRY_BYTES = 8 + 4 + 8 + 4 + 8  # length of the name, dimensions, one of them, type, offset
_STRING_BYTES = 8  # its length


class GgufFault(Exception):
    """The file is not a GGUF file that can be used; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class LongArray:
    """An array that was walked but not kept."""

    item_type: int
    length: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `shape` is in GGUF's order, fastest dimension first; the offset counts from the data's start."""

    name: str
    type: str
    shape: tuple[int, ...]
    offset_bytes: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What a GGUF file says about itself, in the file's order. Arrays in `metadata` are tuples or LongArray.

    `value_types` are GGUF's numbers of the types of those values: some readers assert on them.
    """

    version: int
    metadata: dict[str, Any]
    tensors: tuple[Tensor, ...] = field(repr=False)
    data_start_bytes: int = 0
    value_types: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def architecture(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    @property
    def alignment_bytes(self) -> int:
        """What offsets are multiples of, and sizes of tensors are padded to."""
        return int(self.metadata.get("general.alignment", DEFAULT_ALIGNMENT_BYTES))

    @property
    def parameter_count(self) -> int:
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def quantization(self) -> str:
        """The name of `general.file_type`, or "unknown"."""
        return FILE_TYPES.get(self.metadata.get("general.file_type", -1), "unknown")

    def of_architecture(self, key: str, default: Any = None) -> Any:
        """The value of `<architecture>.key`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)


def read_header(path: Path) -> GgufHeader:
    """The header of the file at `path`. Raises GgufFault for its content and OSError for the disk."""
    with path.open("rb") as file:
        return parse_header(file, path.stat().st_size)


def parse_header(file: BinaryIO, size_bytes: int, *, distinct: frozenset[str] = frozenset()) -> GgufHeader:
    """The header of an open file of `size_bytes`. Raises GgufFault and nothing else for its content.

    `distinct` are keys of lists of strings in which none may stand twice; each is held in memory for that.
    """
    cursor = _Cursor(file, size_bytes)
    version = _read_version(cursor)
    tensor_count = cursor.count("Q", MAX_TENSORS, "tensors", _TENSOR_ENTRY_BYTES)
    key_count = cursor.count("Q", MAX_KEYS, "keys", _KEY_ENTRY_BYTES)
    metadata, value_types = _read_metadata(cursor, key_count, distinct)
    alignment = _alignment_bytes(metadata)
    tensors, start_bytes = _read_tensors(cursor, tensor_count, alignment)
    header = GgufHeader(
        version=version,
        metadata=metadata,
        tensors=tensors,
        data_start_bytes=start_bytes,
        value_types=value_types,
    )
    _check_plausible(header)
    return header


class _Cursor:
    """Reads forward through a bounded window; never beyond the file, never beyond MAX_HEADER_BYTES."""

    def __init__(self, file: BinaryIO, size_bytes: int) -> None:
        self._file = file
        self.size_bytes = size_bytes
        self.position = 0
        self._window = b""
        self._offset = 0

    def take(self, length: int) -> bytes:
        """The next `length` bytes; `length` is bounded by the caller."""
        self._pass(length)
        end = self._offset + length
        if end > len(self._window):
            rest = self._window[self._offset :]
            self._window = rest + self._file.read(max(_WINDOW_BYTES, length) - len(rest))
            self._offset, end = 0, length
            if end > len(self._window):
                raise GgufFault("the file is truncated inside its header")
        taken = self._window[self._offset : end]
        self._offset = end
        return taken

    def skip(self, length: int) -> None:
        """Go on without reading; `length` may be as large as a 64-bit number."""
        inside = len(self._window) - self._offset
        if length <= inside:
            self._pass(length)
            self._offset += length
            return
        self._pass(length)
        self._file.seek(length - inside, 1)
        self._window, self._offset = b"", 0

    def number(self, form: str) -> Any:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))[0]

    def count(self, form: str, limit: int, what: str, each_bytes: int = 0) -> int:
        """The number of `what`, each of which takes at least `each_bytes` of what follows."""
        value = int(self.number(form))
        if value > limit:
            raise GgufFault(f"the file claims {value} {what}, more than the {limit} that are read")
        if value * each_bytes > self.size_bytes - self.position:
            raise GgufFault(f"the file claims {value} {what}, more than it can hold: it is truncated or damaged")
        return value

    def text(self, limit: int, what: str, *, errors: str = "strict") -> str:
        data = self.take(self.count("Q", limit, f"bytes of {what}"))
        try:
            return data.decode("utf-8", errors)
        except UnicodeDecodeError:
            raise GgufFault(f"a {what} is not UTF-8") from None

    def _pass(self, length: int) -> None:
        self.position += length
        if self.position > self.size_bytes:
            raise GgufFault("the file is truncated inside its header")
        if self.position > MAX_HEADER_BYTES:
            raise GgufFault(f"the header is longer than {MAX_HEADER_BYTES} bytes")


def _read_version(cursor: _Cursor) -> int:
    if cursor.size_bytes < 24:  # magic, version, two counts
        raise GgufFault("not a GGUF file: shorter than a GGUF header")
    magic = cursor.take(4)
    if magic != b"GGUF":
        raise GgufFault(FOREIGN_MAGICS.get(magic, "not a GGUF file: it does not begin with 'GGUF'"))
    version = int(cursor.number("I"))
    if version & 0xFFFF == 0 and version:
        raise GgufFault("a big-endian GGUF file: convert it with llama.cpp's gguf_convert_endian.py")
    if version not in (2, 3):
        raise GgufFault(f"GGUF version {version} is not read, only 2 and 3: convert the model again")
    return version


def _read_metadata(cursor: _Cursor, count: int, distinct: frozenset[str]) -> tuple[dict[str, Any], dict[str, int]]:
    """Every value, and the number of its type, by key."""
    metadata: dict[str, Any] = {}
    types: dict[str, int] = {}
    for number in range(1, count + 1):
        key = cursor.text(MAX_KEY_BYTES, "key")
        if key in metadata:
            raise GgufFault(f"key {number} of {count} stands in the file twice")
        types[key] = int(cursor.number("I"))
        metadata[key] = _read_value(cursor, types[key], distinct=key in distinct)
    return metadata, types


def _read_value(cursor: _Cursor, kind: int, *, distinct: bool) -> Any:
    if kind == STRING:
        return cursor.text(MAX_STRING_BYTES, "string", errors="replace")
    if kind == ARRAY:
        return _read_array(cursor, distinct=distinct)
    if kind == BOOL:
        return bool(cursor.number("B"))
    if kind not in VALUE_FORMATS:
        raise GgufFault(f"the file holds a value of the unknown type {kind}")
    return cursor.number(VALUE_FORMATS[kind])


def _read_array(cursor: _Cursor, *, distinct: bool) -> tuple[Any, ...] | LongArray:
    """One array. Arrays of arrays, which the format allows and no model uses, are refused."""
    item_type = int(cursor.number("I"))
    if item_type == STRING:
        return _read_strings(cursor, distinct=distinct)
    if item_type not in VALUE_FORMATS:
        raise GgufFault(f"the file holds an array of the unsupported type {item_type}")
    item_bytes = struct.calcsize(f"<{VALUE_FORMATS[item_type]}")
    length = cursor.count("Q", MAX_ARRAY_ITEMS, "array items", item_bytes)
    if length <= KEPT_ITEMS:
        return struct.unpack(f"<{length}{VALUE_FORMATS[item_type]}", cursor.take(length * item_bytes))
    cursor.skip(length * item_bytes)
    return LongArray(item_type, length)


def _read_strings(cursor: _Cursor, *, distinct: bool) -> tuple[str, ...] | LongArray:
    limit = MAX_DISTINCT_ITEMS if distinct else MAX_ARRAY_ITEMS
    length = cursor.count("Q", limit, "array items", _STRING_BYTES)
    if length > KEPT_ITEMS and not distinct:
        for _ in range(length):
            cursor.skip(cursor.count("Q", MAX_STRING_BYTES, "bytes of string"))
        return LongArray(STRING, length)
    seen: set[bytes] = set()
    kept = []
    for number in range(length):
        data = cursor.take(cursor.count("Q", MAX_STRING_BYTES, "bytes of string"))
        if distinct and data:
            if data in seen:
                raise GgufFault(f"string {number} of a list in which none may stand twice is there already")
            seen.add(data)
        if length <= KEPT_ITEMS:
            kept.append(data.decode("utf-8", "replace"))
    return tuple(kept) if length <= KEPT_ITEMS else LongArray(STRING, length)


def _alignment_bytes(metadata: dict[str, Any]) -> int:
    value = metadata.get("general.alignment", DEFAULT_ALIGNMENT_BYTES)
    in_range = isinstance(value, int) and MIN_ALIGNMENT_BYTES <= value <= MAX_ALIGNMENT_BYTES
    if not in_range or value & (value - 1):
        raise GgufFault(
            f"general.alignment is not a power of two from {MIN_ALIGNMENT_BYTES} to {MAX_ALIGNMENT_BYTES} bytes"
        )
    return int(value)


def _read_tensors(cursor: _Cursor, count: int, alignment: int) -> tuple[tuple[Tensor, ...], int]:
    """All tensor entries, each with its data inside the file behind the header; and where the data starts."""
    tensors: dict[str, Tensor] = {}
    end_bytes = 0
    for number in range(1, count + 1):
        tensor = _read_tensor(cursor, number)
        if tensor.name in tensors:
            raise GgufFault(f"tensor {number} has a name that one before it has")
        if tensor.offset_bytes % alignment:
            raise GgufFault(
                f"tensor {number} begins at byte {tensor.offset_bytes} of the data, not at a multiple of {alignment}"
            )
        tensors[tensor.name] = tensor
        end_bytes = max(end_bytes, tensor.offset_bytes + tensor.size_bytes)
    start_bytes = -(-cursor.position // alignment) * alignment
    if end_bytes and start_bytes + end_bytes > cursor.size_bytes:
        missing = start_bytes + end_bytes - cursor.size_bytes
        raise GgufFault(f"the file is truncated: {missing} bytes of its tensors are missing; copy it again")
    return tuple(tensors.values()), start_bytes


def _read_tensor(cursor: _Cursor, number: int) -> Tensor:
    name = cursor.text(MAX_TENSOR_NAME_BYTES, "tensor name")
    dimensions = cursor.count("I", MAX_DIMENSIONS, "dimensions")
    shape = tuple(int(cursor.number("Q")) for _ in range(dimensions))
    kind, offset_bytes = int(cursor.number("I")), int(cursor.number("Q"))
    if kind not in TENSOR_TYPES:
        raise GgufFault(
            f"tensor {number} has the unknown or retired type {kind}; the file may be newer than this release"
        )
    label, block_weights, block_bytes = TENSOR_TYPES[kind]
    # The product overflows in C: CVE-2025-53630, CVE-2026-33298.
    weights = math.prod(shape)
    if not shape or not 0 < weights <= MAX_WEIGHTS:
        raise GgufFault(
            f"tensor {number} has an impossible shape: it needs 1 to 4 dimensions, none 0, below 2^63 in all"
        )
    if shape[0] % block_weights:
        raise GgufFault(f"tensor {number} has an impossible shape: its rows are not whole blocks of {block_weights}")
    return Tensor(name, label, shape, offset_bytes, weights // block_weights * block_bytes)


_PLAUSIBLE = {
    "block_count": (1, 512),  # LLAMA_MAX_LAYERS; it aborts above
    "context_length": (1, 2**24),  # the longest that any model states is 10 million
    "embedding_length": (1, 2**20),
    "feed_forward_length": (0, 2**24),
    "attention.head_count": (0, 65536),
    "attention.head_count_kv": (0, 65536),
    "attention.key_length": (1, 65536),
    "attention.value_length": (1, 65536),
    "rope.dimension_count": (0, 65536),
    "expert_count": (0, 1024),  # LLAMA_MAX_EXPERTS; it aborts above
    "expert_used_count": (0, 1024),
    "vocab_size": (0, MAX_ARRAY_ITEMS),
}
_EPSILONS = ("attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon")


def _check_plausible(header: GgufHeader) -> None:
    """Refuse what llama.cpp is known to abort on instead of reporting."""
    if not header.architecture or not isinstance(header.metadata["general.architecture"], str):
        raise GgufFault("the file does not name its architecture; it is not a model")
    for key, (low, high) in _PLAUSIBLE.items():
        for value in _items(header.of_architecture(key, low)):
            if not isinstance(value, int) or not low <= value <= high:
                raise GgufFault(f"the architecture's {key} is not a number from {low} to {high}")
    for key in _EPSILONS:
        value = header.of_architecture(key, 1e-5)
        if not isinstance(value, float) or not 0 < value < 1:  # also refuses NaN
            raise GgufFault(f"the architecture's {key} is not a small positive number")
    _check_token_ids(header)


def _items(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _check_token_ids(header: GgufHeader) -> None:
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    size = tokens.length if isinstance(tokens, LongArray) else len(tokens) if isinstance(tokens, tuple) else 2**31
    for key in ("bos", "eos", "unknown", "padding"):
        value = header.metadata.get(f"tokenizer.ggml.{key}_token_id", 0)
        # 2**32 - 1 is how converters write "none".
        if not isinstance(value, int) or not (0 <= value < size or value == 2**32 - 1 or (value == 0 == size)):
            raise GgufFault(f"tokenizer.ggml.{key}_token_id is not one of the file's tokens")
