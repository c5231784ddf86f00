"""Projectors that are served, and those that are refused before a C parser sees them."""

from pathlib import Path
from typing import Any

import pytest

from engine.store.gguf_check import read_model
from engine.store.gguf_header import GgufFault
from engine.store.projector_check import Projector, projector_of, read_projector
from tests.unit.engine.tiny_vision import IMAGE_SIZE, IMAGE_TOKENS, WIDTH, write_projector, write_text_model


def refusal(path: Path, **metadata: Any) -> str:
    with pytest.raises(GgufFault) as refused:
        read_projector(write_projector(path / "p.gguf", **metadata))
    assert str(refused.value).isprintable()
    return str(refused.value)


def test_the_facts_of_both_families(tmp_path: Path) -> None:
    llava = projector_of(read_projector(write_projector(tmp_path / "a.gguf")))
    assert llava == Projector(image_size=IMAGE_SIZE, tokens=IMAGE_TOKENS, width=WIDTH)
    gemma = projector_of(read_projector(write_projector(tmp_path / "b.gguf", family="gemma3")))
    assert (gemma.tokens, gemma.before, gemma.after) == (IMAGE_TOKENS // 4, "<start_of_image>", "<end_of_image>")


def test_its_rows_are_as_wide_as_the_models(tmp_path: Path) -> None:
    base = read_model(write_text_model(tmp_path / "text.gguf"))
    assert read_projector(write_projector(tmp_path / "a.gguf"), base)
    for family in ("mlp", "gemma3"):
        wide = write_projector(tmp_path / "wide.gguf", family=family, width=64)
        assert projector_of(read_projector(wide)).width == 64
        with pytest.raises(GgufFault, match="rows of 64 numbers and the model reads rows of 32"):
            read_projector(wide, base)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"clip__has_vision_encoder": False}, "no vision encoder"),
        ({"clip__has_vision_encoder": None}, "no vision encoder"),
        ({"clip__projector_type": "qwen2vl_merger"}, "a type that is not served; these are: gemma3, mlp"),
        ({"clip__projector_type": None}, "a type that is not served"),
        ({"clip__vision__image_grid_pinpoints": [336, 672]}, "cuts pictures into tiles"),
        ({"clip__has_audio_encoder": True}, "reads sound"),
        ({"clip__vision__image_size": 4096}, "image_size is not a number from 1 to 1344"),
        ({"clip__vision__image_size": None}, "image_size is not a 32-bit whole number"),
        ({"clip__vision__block_count": 2.0}, "block_count is not a 32-bit whole number"),
        ({"clip__vision__block_count": 1000}, "block_count is not a number"),
        ({"clip__vision__patch_size": 7}, "patches of 7 pixels do not fill"),
        ({"clip__vision__patch_size": 1, "clip__vision__image_size": 100}, "or are more than 4096"),
        ({"clip__vision__attention__head_count": 3}, "does not divide"),
        ({"clip__vision__attention__layer_norm_epsilon": float("nan")}, "small positive number"),
        ({"clip__vision__image_mean": [0.5, 0.5]}, "image_mean is not three usable fractions"),
        ({"clip__vision__image_mean": [0.5, 0.5, float("inf")]}, "image_mean is not three"),
        ({"clip__vision__image_mean": [1, 2, 3]}, "image_mean is not three"),
        ({"clip__vision__image_std": [0.5, 0.0, 0.5]}, "image_std is not three"),
        ({"clip__vision__image_std": 0.5}, "image_std is not a list"),
        ({"clip__use_gelu": 1}, "clip.use_gelu is not true or false"),
        ({"clip__vision__embedding_length": 64}, "patch_embd.weight has another shape"),
        ({"clip__vision__block_count": 3}, "no tensor v.blk.2.attn_q.weight"),
        ({"clip__vision__feed_forward_length": 65}, "ffn_up.weight has another shape"),
        ({"family": "gemma3", "clip__vision__projector__scale_factor": 3}, "scale_factor does not divide"),
        ({"family": "gemma3", "clip__vision__projector__scale_factor": 0}, "scale_factor does not divide"),
        ({"family": "gemma3", "clip__vision__projector__scale_factor": "2"}, "scale_factor is not a 32-bit whole"),
        ({"family": "gemma3", "clip__projector_type": "mlp"}, "no matrix mm.2.weight"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    assert why in refusal(tmp_path, **change)


def test_a_model_is_no_projector(tmp_path: Path) -> None:
    with pytest.raises(GgufFault, match="no projector"):
        read_projector(write_text_model(tmp_path / "text.gguf"))
    with pytest.raises(GgufFault, match=r"no tensor token_embd.weight"):
        read_model(write_projector(tmp_path / "p.gguf"))


def test_gemma_shrinks_by_four_where_the_file_does_not_say(tmp_path: Path) -> None:
    silent = write_projector(tmp_path / "p.gguf", family="gemma3", clip__vision__projector__scale_factor=None)
    assert projector_of(read_projector(silent)).tokens == 1


def test_names_of_old_converters(tmp_path: Path) -> None:
    swapped = write_projector(tmp_path / "p.gguf", swapped=True)
    assert projector_of(read_projector(swapped)).tokens == IMAGE_TOKENS


def test_another_kind_of_projection_is_named(tmp_path: Path) -> None:
    for extra in (("mm.1.weight", (WIDTH,)), ("v.class_embd", (WIDTH,))):
        path = write_projector(tmp_path / "p.gguf", extra=extra)
        with pytest.raises(GgufFault, match=r"mm.1.weight: its kind|position_embd.weight has another shape"):
            read_projector(path)


@pytest.mark.parametrize("family", ["mlp", "gemma3"])
@pytest.mark.parametrize(
    ("name", "shape", "why"),
    [
        ("v.pre_ln.weight", (WIDTH,), ""),
        ("v.post_ln.bias", (WIDTH,), ""),
        ("v.patch_embd.bias", (WIDTH,), ""),
        ("v.blk.0.ffn_up.bias", (2 * WIDTH,), ""),
        ("v.blk.1.ffn_down.bias", (WIDTH,), ""),
        ("v.blk.7.attn_q.weight", (3,), ""),  # of a layer that the keys leave out
        ("model.image_newline", (3,), ""),  # not the encoder's: nobody reads it
        ("v.pre_ln.weight", (WIDTH - 1,), "v.pre_ln.weight has another shape"),
        ("v.post_ln.bias", (2, WIDTH), "v.post_ln.bias has another shape"),
        ("v.blk.0.ffn_up.bias", (WIDTH,), "v.blk.0.ffn_up.bias has another shape"),
        ("v.blk.1.ffn_down.bias", (2 * WIDTH,), "v.blk.1.ffn_down.bias has another shape"),
        ("v.blk.0.attn_q_norm.weight", (WIDTH,), "v.blk.0.attn_q_norm.weight, which is not of its family"),
        ("v.blk.x.attn_q.weight", (WIDTH,), "which is not of its family"),
        ("v.patch_embd.weight.1", (WIDTH,), "which is not of its family"),
        ("mm.input_norm.bias", (WIDTH,), "which is not of its family"),
    ],
)
def test_weights_that_may_be_there(tmp_path: Path, family: str, name: str, shape: tuple[int, ...], why: str) -> None:
    path = write_projector(tmp_path / "p.gguf", family=family, extra=(name, shape))
    if not why:
        assert read_projector(path)
        return
    with pytest.raises(GgufFault, match=why):
        read_projector(path)


def test_biases_follow_the_names_of_old_converters(tmp_path: Path) -> None:
    for shape, is_right in (((WIDTH,), True), ((2 * WIDTH,), False)):
        path = write_projector(tmp_path / "p.gguf", swapped=True, extra=("v.blk.0.ffn_up.bias", shape))
        if is_right:
            assert read_projector(path)
        else:
            with pytest.raises(GgufFault, match="another shape"):
                read_projector(path)
