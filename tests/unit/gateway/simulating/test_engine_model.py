"""How fast a simulated pool works, and the model made of measured rates."""

import pytest

from gateway.simulating.engine_model import LLAMA_7B_F16_PREFILL_PER_S, EngineModel, measured_model
from policies.admitting.queue_view import PoolView, TargetView


def pool(*, prefill_s: float = 0.002, decode_s: float = 0.05) -> PoolView:
    return PoolView(
        model="m",
        adapter="",
        kind="chat",
        waiting=0,
        running=0,
        slots=4,
        prefill_s_per_token=prefill_s,
        first_token_s_per_token=prefill_s,
        decode_s_per_token=decode_s,
        service_s=1.0,
        service_cv2=1.0,
        arrivals_per_s=1.0,
        arrival_cv2=1.0,
        prompt_tokens=100.0,
        output_tokens=100.0,
        samples=10,
        promise_s=0.0,
    )


def target(
    number: int, *, ready: bool = True, slots: int = 4, decode_s: tuple[tuple[int, float], ...] = ()
) -> TargetView:
    return TargetView(id=str(number), slots=slots, running=0, ready=ready, decode_s=decode_s)


def test_the_step_is_read_from_the_table_and_goes_on_as_a_line() -> None:
    model = EngineModel(decode_s=(0.0, 0.1, 0.15))
    assert [model.step_s(decoding) for decoding in (0, 1, 2)] == [0.0, 0.1, 0.15]
    assert model.step_s(4) == pytest.approx(0.25)
    assert EngineModel(decode_s=(0.0, 0.1, 0.08)).step_s(4) == 0.08
    assert EngineModel(decode_s=(0.0, 0.1)).step_s(3) == pytest.approx(0.3)


def test_work_counts_prompts_at_full_speed_and_tokens_in_a_full_worker() -> None:
    model = EngineModel(slots=4, prefill_tokens_per_s=1000.0, decode_s=(0.0, 0.1, 0.1, 0.1, 0.2))
    assert model.work_s(500, 10) == pytest.approx(0.5 + 10 * 0.2 / 4)


def test_slowed_everything_takes_longer() -> None:
    slow, fast = EngineModel().slowed(2.0), EngineModel()
    assert slow.work_s(1000, 100) == pytest.approx(2 * fast.work_s(1000, 100))
    assert slow.step_s(3) == 2 * fast.step_s(3)


def test_a_measured_pool_has_its_ready_targets_and_interpolated_steps() -> None:
    targets = (
        target(0, decode_s=((1, 0.02), (4, 0.05))),
        target(1, decode_s=((1, 0.04),)),
        target(2, ready=False, slots=64),
    )
    model = measured_model(pool(prefill_s=0.001), targets, chunk_tokens=500)
    assert (model.workers, model.slots) == (2, 4)
    assert model.decode_s == pytest.approx((0.0, 0.03, 0.03 + 0.02 / 3, 0.03 + 0.04 / 3, 0.05))
    step_s = 0.03 + 0.04 / 3
    assert model.chunk_tokens / model.prefill_tokens_per_s + step_s == pytest.approx(0.5)


def test_outside_what_was_measured_the_nearest_holds_and_steps_never_fall() -> None:
    model = measured_model(pool(), (target(0, decode_s=((2, 0.05), (3, 0.04), (9, 0.0))),))
    assert model.decode_s == (0.0, 0.05, 0.05, 0.05, 0.05)


def test_with_no_steps_measured_the_pool_has_one_speed() -> None:
    assert measured_model(pool(decode_s=0.06), (target(0),)).decode_s == (0.0, 0.06, 0.06, 0.06, 0.06)
    assert measured_model(pool(decode_s=0.0), (target(0),)).decode_s[1] > 0


def test_a_chunk_measured_shorter_than_its_step_keeps_a_share_for_the_prompt() -> None:
    model = measured_model(pool(prefill_s=0.0001, decode_s=0.5), (target(0),), chunk_tokens=100)
    assert model.prefill_tokens_per_s == pytest.approx(100 / (0.01 * 0.25))


def test_a_prefill_never_measured_is_taken_from_the_table() -> None:
    assert measured_model(pool(prefill_s=0.0), (target(0),)).prefill_tokens_per_s == LLAMA_7B_F16_PREFILL_PER_S


def test_a_pool_without_targets_cannot_be_modelled() -> None:
    with pytest.raises(ValueError, match="no target is ready"):
        measured_model(pool(), (target(0, ready=False),))
