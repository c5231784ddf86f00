"""The bindings against the real library and the real vocabulary."""

import sys
from pathlib import Path

import numpy as np
import pytest

from engine import llama

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def vocabulary(model_file: Path) -> llama.Vocabulary:
    return llama.load_vocabulary(model_file)


def test_the_pickling_cache_is_never_imported() -> None:
    assert vars(sys.modules["diskcache"]).get("Cache") is None


def test_tokens_spell_the_text_they_came_from(vocabulary: llama.Vocabulary) -> None:
    for text in ("The capital of France is Paris.", "漢字 and 🦙", "", "  two  spaces\n"):
        ids = vocabulary.tokenize(text, special=False, bos=False)
        assert ids.dtype == np.int32
        assert b"".join(vocabulary.piece(int(token_id)) for token_id in ids) == text.encode()


def test_control_tokens_are_read_only_when_asked(vocabulary: llama.Vocabulary) -> None:
    assert vocabulary.tokenize("<|im_end|>", special=True, bos=False).tolist() == [vocabulary.eos_id]
    assert len(vocabulary.tokenize("<|im_end|>", special=False, bos=False)) > 1
    assert vocabulary.piece(vocabulary.eos_id) == b""
    assert vocabulary.piece(vocabulary.eos_id, special=True) == b"<|im_end|>"
    assert vocabulary.is_end(vocabulary.eos_id)


def test_a_lone_surrogate_and_a_foreign_id_do_no_harm(vocabulary: llama.Vocabulary) -> None:
    ids = vocabulary.tokenize("a\udc80", special=False, bos=False)
    assert b"".join(vocabulary.piece(int(token_id)) for token_id in ids) == b"a?"
    assert vocabulary.piece(-1) == vocabulary.piece(10**6) == b""


def test_what_the_file_says_of_itself(vocabulary: llama.Vocabulary) -> None:
    assert (vocabulary.bos_text, vocabulary.eos_text, vocabulary.adds_bos) == ("<|im_start|>", "<|im_end|>", False)
    assert vocabulary.context_length == 8192
    assert vocabulary.metadata()["general.architecture"] == "llama"


@pytest.mark.parametrize(
    ("gbnf", "compiles"),
    [
        ('root ::= "a"', True),
        ("root ::= (", False),
        ('other ::= "a"', False),
        ('root ::= root "a"', False),
        ("", False),
        (" \n", False),
        ("# nothing", False),
        ('\0root ::= "a"', False),
        ('root ::= "a"\0', False),
    ],
)
def test_grammars_are_checked(vocabulary: llama.Vocabulary, gbnf: str, compiles: bool) -> None:
    assert llama.check_grammar(vocabulary, gbnf) is compiles


def test_a_file_that_is_no_model_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(b"GGML" * 100)
    with pytest.raises(llama.LlamaFault, match="invalid magic"):
        llama.load_vocabulary(path)
