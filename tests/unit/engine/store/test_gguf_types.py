"""The tables agree with the official Python package of the format."""

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from engine.store.gguf_types import FILE_TYPES, TENSOR_TYPES

Q8_1 = 9  # the package counts a float32 scale where ggml.h has float16; no file stores this type


def test_tensor_types() -> None:
    official = {kind.value: (kind.name, *GGML_QUANT_SIZES[kind]) for kind in GGMLQuantizationType if kind != Q8_1}
    assert {kind: entry for kind, entry in TENSOR_TYPES.items() if kind != Q8_1} == official


def test_file_types() -> None:
    official = {kind.value: kind.name.removeprefix("MOSTLY_").removeprefix("ALL_") for kind in LlamaFileType}
    official[38] = official[38].removesuffix("_MOE")
    assert {value: name for value, name in official.items() if name != "GUESSED"} == FILE_TYPES
