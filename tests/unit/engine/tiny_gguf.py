"""Tiny made-up GGUF files: a header writer without any check, and a vocabulary that llama.cpp loads."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] | trim }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
Entry = tuple[int, Any]
TensorEntry = tuple[str, Sequence[int], int, int]


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def value_bytes(kind: int, value: Any) -> bytes:
    if kind == 8:
        return text(value)
    if kind == 9:
        item_kind, items = value
        return struct.pack("<IQ", item_kind, len(items)) + b"".join(value_bytes(item_kind, item) for item in items)
    form = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}[kind]
    return struct.pack(f"<{form}", value)


def gguf(
    entries: Mapping[str, Entry],
    tensors: Sequence[TensorEntry] = (),
    data_bytes: int = 0,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """A whole file; `tensors` are (name, shape, type, offset), `data_bytes` what follows the header."""
    head = bytearray(b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(entries)))
    for key, (kind, value) in entries.items():
        head += text(key) + struct.pack("<I", kind) + value_bytes(kind, value)
    for name, shape, kind, offset in tensors:
        dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
        head += text(name) + dimensions + struct.pack("<IQ", kind, offset)
    return bytes(head) + b"\0" * (-len(head) % alignment + data_bytes)


LLAMA: dict[str, Entry] = {
    "general.architecture": (8, "llama"),
    "general.name": (8, "tiny"),
    "general.file_type": (4, 3),
    "llama.block_count": (4, 1),
    "llama.context_length": (4, 256),
    "llama.embedding_length": (4, 32),
    "llama.feed_forward_length": (4, 32),
    "llama.attention.head_count": (4, 2),
    "llama.attention.layer_norm_rms_epsilon": (6, 1e-5),
}


def model_bytes(**changes: Entry) -> bytes:
    """A small whole model of one token: 64 weights in two tensors. Keyword names have `__` for the dot."""
    entries = LLAMA | {key.replace("__", "."): entry for key, entry in changes.items()}
    return gguf(entries, [("token_embd.weight", (32, 1), 0, 0), ("output_norm.weight", (32,), 0, 128)], data_bytes=256)


def write_vocabulary(path: Path, template: str | None = CHATML, **changes: Entry) -> Path:
    """A file that llama.cpp loads with vocab_only: 256 byte tokens and three control tokens, and their embedding."""
    tokens = [*SPECIAL, *byte_letters()]
    kinds = [3] * len(SPECIAL) + [1] * 256
    entries = LLAMA | {
        "tokenizer.ggml.model": (8, "gpt2"),
        "tokenizer.ggml.pre": (8, "smollm"),
        "tokenizer.ggml.tokens": (9, (8, tokens)),
        "tokenizer.ggml.token_type": (9, (5, kinds)),
        "tokenizer.ggml.merges": (9, (8, ["h e", "l l"])),
        "tokenizer.ggml.bos_token_id": (4, 0),
        "tokenizer.ggml.eos_token_id": (4, 2),
        "tokenizer.ggml.add_bos_token": (7, False),
    }
    if template is not None:
        entries["tokenizer.chat_template"] = (8, template)
    embedding = [("token_embd.weight", (32, len(tokens)), 0, 0)]
    changed = entries | {key.replace("__", "."): entry for key, entry in changes.items()}
    path.write_bytes(gguf(changed, embedding, data_bytes=32 * len(tokens) * 4))
    return path


def byte_letters() -> list[str]:
    """GPT-2's letters for the 256 bytes, in order of the bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, extra = [], 256
    for byte in range(256):
        if byte in printable:
            letters.append(chr(byte))
        else:
            letters.append(chr(extra))
            extra += 1
    return letters
