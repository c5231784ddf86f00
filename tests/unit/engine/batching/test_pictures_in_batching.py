"""Pictures in the shared loop, over a tiny model with real weights and mtmd itself."""

import ctypes
from array import array
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic_ns

import numpy as np
import pytest

from engine.batching import image_rows
from engine.batching.batching import DONE, NO_ROOM, Batching
from engine.batching.image_rows import PictureFault
from engine.batching.llama_backend import LlamaBackend
from engine.batching.llama_eyes import LlamaEyes
from engine.frames import Ended, Start
from engine.llama import LlamaFault, raw
from engine.llama_mtmd import Projector, mtmd
from engine.pictures import Picture, picture_ids
from policies.call import Sampling
from tests.unit.engine.made_up_images import picture
from tests.unit.engine.tiny_vision import IMAGE_TOKENS, write_projector, write_text_model

CONTEXT, BATCH, TOKENS = 256, 64, 8
TEXT = [3 + letter for letter in b"hello world"]


class Eyes:
    """The real eyes, with results to come in place of a computation."""

    def __init__(self, eyes: LlamaEyes) -> None:
        self._eyes = eyes
        self.tokens = eyes.tokens
        self.codes: deque[int | PictureFault] = deque()
        self.looks: list[int] = []

    def look(self, sequence: int, position: int, picture: Picture, interrupt: Callable[[], bool] | None = None) -> int:
        self.looks.append(sequence)
        code = self.codes.popleft() if self.codes else DONE
        if isinstance(code, PictureFault):
            raise code
        return code or self._eyes.look(sequence, position, picture, interrupt)


class Run:
    """A loop that sees, and what it told."""

    def __init__(self, folder: Path, *, family: str = "mlp", slots: int = 4, cells: int = 0) -> None:
        model = write_text_model(folder / "text.gguf")
        projector = write_projector(folder / f"{family}.gguf", family=family)
        self.backend = LlamaBackend(model, slots=slots, context_tokens=CONTEXT, batch_tokens=BATCH, threads=1)
        self.backend.warm_up()
        eyes = LlamaEyes(projector, *self.backend.lend(), batch_tokens=BATCH, threads=1)
        eyes.warm_up()
        self.eyes = Eyes(eyes)
        self.backend.cells = cells or self.backend.cells
        self.loop = Batching(self.backend, slots=slots, context_tokens=CONTEXT, batch_tokens=BATCH, clock=monotonic_ns)
        self.loop.see_with(self.eyes)
        self.ended: dict[int, Ended] = {}
        self.prefill_rows = 0

    def start(
        self, id_: int, *pictures: Picture, text: list[int] = TEXT, scope: str = "a", tokens: int = TOKENS
    ) -> bool:
        ids = [1, *(one for each in pictures for one in picture_ids(each, self.eyes.tokens)), *text]
        return self.loop.start("gateway", self.frame(id_, ids, pictures, scope, tokens))

    @staticmethod
    def frame(id_: int, ids: list[int], pictures: tuple[Picture, ...], scope: str = "a", tokens: int = TOKENS) -> Start:
        return Start(
            id=id_,
            token_ids=(array("i", ids).tobytes(),),
            sampling=Sampling(temperature=0, seed=1, repeat_last_n=64, repeat_penalty=1.1),
            max_output_tokens=tokens,
            cache_scope=scope,
            images=pictures,
        )

    def step(self) -> None:
        result = self.loop.step(lambda: False)
        self.prefill_rows += result.prefill_rows
        self.ended |= {ended.id: ended for _, ended in result.ended}

    def finish(self) -> None:
        for _ in range(500):
            if not self.loop.has_work:
                return
            self.step()
        raise AssertionError("the loop does not come to an end")

    def answer(self, id_: int) -> bytes:
        ended = self.ended[id_]
        assert not ended.fault, ended.fault
        return ended.token_ids


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    made = Run(tmp_path)
    yield made
    made.eyes._eyes.close()
    made.backend.close()


def alone(folder: Path, *pictures: Picture, text: list[int] = TEXT) -> bytes:
    made = Run(folder)
    made.start(1, *pictures, text=text)
    made.finish()
    return made.answer(1)


def test_answers_are_those_of_each_alone(run: Run, tmp_path: Path) -> None:
    wanted = {1: (picture(1),), 2: (picture(2),), 3: (), 4: (picture(1), picture(2))}
    for id_, pictures in wanted.items():
        assert run.start(id_, *pictures)
    run.finish()
    assert len({run.answer(id_) for id_ in wanted}) == 4
    for id_, pictures in wanted.items():
        assert run.answer(id_) == alone(tmp_path, *pictures)
        assert run.ended[id_].prompt_tokens == 1 + len(TEXT) + len(pictures) * IMAGE_TOKENS


def test_one_picture_a_step_and_texts_go_on(run: Run) -> None:
    run.start(1, text=TEXT, tokens=50)
    run.step()
    for id_ in (2, 3):
        run.start(id_, picture(id_), picture(id_ + 10))
    for step in range(6):
        before = len(run.eyes.looks)
        output = run.loop.counters().output_tokens
        run.step()
        assert len(run.eyes.looks) - before <= 1, step
        assert run.loop.counters().output_tokens > output
    run.finish()
    assert len(run.eyes.looks) == 4
    assert run.prefill_rows == run.loop.counters().prefill_tokens


def test_rows_are_placed_as_mtmd_places_them(run: Run) -> None:
    """The logits behind a picture are those that mtmd's own helper leads to."""
    shown = picture(5)
    run.start(1, shown, text=[7], tokens=1)
    run.step()
    run.step()
    own = run.backend.logits(0).copy()
    _, context = run.backend.lend()
    context.seq_rm(0, 0)
    batch = raw.llama_batch_get_one((ctypes.c_int32 * 1)(1), 1)
    assert context.decode(batch) == 0
    projector = run.eyes._eyes._projector
    with projector._chunks(shown.width, shown.height, np.frombuffer(shown.rgb, np.uint8)) as chunk:
        assert mtmd.mtmd_encode_chunk(projector._pointer, chunk) == 0
        rows, end = mtmd.mtmd_get_output_embd(projector._pointer), ctypes.c_int32(0)
        nobody = mtmd.mtmd_helper_post_decode_callback()
        code = mtmd.mtmd_helper_decode_image_chunk(
            projector._pointer, context.pointer, chunk, rows, 1, 0, BATCH, ctypes.byref(end), nobody, None
        )
        assert (code, end.value) == (0, 1 + IMAGE_TOKENS)
    batch = raw.llama_batch_get_one((ctypes.c_int32 * 1)(7), 1)
    assert context.decode(batch) == 0
    assert np.allclose(run.backend.logits(0), own, atol=1e-4)


def test_the_same_picture_is_a_prefix_within_a_scope_only(run: Run) -> None:
    run.start(1, picture(1))
    run.finish()
    for id_, scope, pictures in ((2, "a", (1,)), (3, "b", (1,)), (4, "a", (2,))):
        run.start(id_, *map(picture, pictures), scope=scope)
        run.finish()
    cached = {id_: run.ended[id_].cached_tokens for id_ in (2, 3, 4)}
    assert cached == {2: IMAGE_TOKENS + len(TEXT), 3: 0, 4: 1}
    assert run.answer(2) == run.answer(3) == run.answer(1)
    assert len(run.eyes.looks) == 3


def test_a_sibling_waits_for_the_picture_that_is_just_computed(run: Run) -> None:
    long = [5] * 40
    run.start(1, picture(1), text=long)
    run.start(2, picture(1), text=long)
    run.finish()
    assert len(run.eyes.looks) == 1
    assert run.answer(1) == run.answer(2)


def test_ids_that_agree_by_chance_do_not_make_half_a_picture(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def ids(shown: Picture, tokens: int) -> list[int]:
        return [-7, *picture_ids(shown, tokens)[1:]]

    monkeypatch.setattr(image_rows, "picture_ids", ids)
    for id_ in (1, 2):
        shown = picture(id_)
        run.loop.start("gateway", run.frame(id_, [1, *ids(shown, IMAGE_TOKENS), *TEXT], (shown,)))
        run.finish()
    assert run.answer(1) != run.answer(2)
    monkeypatch.undo()
    run.start(3, picture(2), scope="b")
    run.finish()
    assert run.answer(2) == run.answer(3)


def test_no_room_is_tried_again(run: Run) -> None:
    run.eyes.codes.extend([NO_ROOM])
    run.start(9, text=[8, 8])
    run.finish()
    run.start(1, picture(1))
    run.start(2, text=TEXT)
    run.finish()
    assert run.answer(1)
    assert len(run.eyes.looks) == 2


def test_a_picture_that_cannot_be_computed_ends_its_request_alone(run: Run) -> None:
    for id_, code in ((1, PictureFault("no")), (2, -3)):
        run.eyes.codes.append(code)
        run.start(id_, picture(id_))
        run.start(id_ + 10)
        run.finish()
        assert run.answer(id_ + 10)
    assert (run.ended[1].fault, run.ended[2].fault) == ("no", "llama_decode failed with -3")
    run.start(3, picture(1))
    run.finish()
    assert run.answer(3)


def test_a_parked_picture_is_computed_again(tmp_path: Path) -> None:
    made = Run(tmp_path, slots=2, cells=64)
    made.start(1, text=TEXT, tokens=40)
    made.start(2, picture(1), tokens=12)
    made.finish()
    counters = made.loop.counters()
    assert made.answer(2) == alone(tmp_path, picture(1))[: 4 * TOKENS] + made.answer(2)[4 * TOKENS :]
    assert made.answer(1)
    assert counters.ended == 2


def test_a_picture_makes_room_by_forgetting(tmp_path: Path) -> None:
    made = Run(tmp_path, slots=2, cells=48)
    for id_ in range(4):
        made.start(id_, picture(id_), tokens=4)
        made.finish()
        assert made.answer(id_)


def test_a_picture_that_can_never_fit_is_told(tmp_path: Path) -> None:
    made = Run(tmp_path, slots=2, cells=IMAGE_TOKENS)
    made.start(1, picture(1))
    made.finish()
    assert "does not fit" in made.ended[1].fault


def test_a_cancel_frees_the_slot_between_pictures(run: Run) -> None:
    run.start(1, *map(picture, range(8)))
    run.step()
    run.step()
    run.loop.cancel("gateway", 1)
    run.step()
    assert run.loop.counters().busy_slots == 0
    assert len(run.eyes.looks) == 1


def test_a_cancel_ends_the_look_at_its_own_picture(run: Run) -> None:
    asked = []

    def interrupt() -> bool:
        asked.append((run.loop.would_interrupt("gateway", 1), run.loop.would_interrupt("gateway", 2)))
        return len(asked) == 3 and asked[-1][0]

    run.start(1, picture(1), picture(2))
    run.start(2, text=[5] * 40)
    run.step()
    run.loop.step(interrupt)
    assert asked == [(True, False)] * 3
    assert run.loop.counters().recomputed_tokens == 0
    run.loop.cancel("gateway", 1)
    run.finish()
    assert run.loop.counters().busy_slots == 0
    assert list(run.ended) == [2]
    run.start(3, picture(1))
    run.finish()
    assert run.answer(3)


def test_a_look_that_was_given_up_is_made_again(run: Run, tmp_path: Path) -> None:
    run.start(1, picture(1))
    run.step()
    run.loop.step(lambda: True)
    run.finish()
    assert len(run.eyes.looks) == 2
    assert run.answer(1) == alone(tmp_path, picture(1))


def test_a_loop_without_eyes_takes_no_pictures(run: Run) -> None:
    blind = Batching(run.backend, slots=4, context_tokens=CONTEXT, batch_tokens=BATCH, clock=monotonic_ns)
    shown = picture(1)
    for id_, ids in ((1, [1, 2]), (2, [1, *picture_ids(shown, 4), 2])):
        blind.start("gateway", run.frame(id_, ids, (shown,)))
    faults = {ended.id: ended.fault for _, ended in blind.step(lambda: False).ended}
    assert faults == {1: "this worker has no projector for pictures", 2: "a token id is outside the model's vocabulary"}


def test_gemma_sees_both_ways_and_text_goes_on_as_before(tmp_path: Path) -> None:
    made = Run(tmp_path, family="gemma3")
    for id_, pictures in ((1, (picture(1),)), (2, (picture(2),)), (3, ())):
        made.start(id_, *pictures)
    made.finish()
    assert made.answer(3) == alone(tmp_path)
    assert len({made.answer(1), made.answer(2), made.answer(3)}) == 3
    made.start(4, picture(1), scope="b")
    made.finish()
    assert made.answer(4) == made.answer(1)


def test_projectors_that_cannot_serve_are_named(tmp_path: Path, run: Run) -> None:
    model, _ = run.backend.lend()
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(LlamaFault):
        Projector(broken, model, threads=1)
    with pytest.raises(LlamaFault, match="mismatch"):
        Projector(write_projector(tmp_path / "wide.gguf", width=64), model, threads=1)
    wide = write_projector(tmp_path / "gemma3.gguf", family="gemma3")
    narrow = LlamaBackend(tmp_path / "text.gguf", slots=1, context_tokens=CONTEXT, batch_tokens=2, threads=1)
    with pytest.raises(LlamaFault, match=r"needs 4 rows in one batch of 2: set engine.batch_tokens higher"):
        LlamaEyes(wide, *narrow.lend(), batch_tokens=2, threads=1)
    narrow.close()


def test_a_projector_without_finite_rows_is_damaged(tmp_path: Path, run: Run) -> None:
    file = write_projector(tmp_path / "nan.gguf", extra=None, poisoned=True)
    eyes = LlamaEyes(file, *run.backend.lend(), batch_tokens=BATCH, threads=1)
    with pytest.raises(LlamaFault, match="not finite"):
        eyes.warm_up()
