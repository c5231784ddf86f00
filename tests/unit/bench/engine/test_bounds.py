"""The bounds: held, missed, or open, and each of them there."""

from bench.engine import bounds
from bench.engine.bounds import LOOP, RAW, SERVER, WORKER
from bench.engine.sample import Sample, Steps, Stream
from bench.engine.workload import ALONE, GREEDY, SHARED, STREAMS


def sample(way: str, load: str, streams: int, rate: float, steps: Steps | None = None) -> Sample:
    """A way at `rate` tokens a second, one token every 10 ms."""
    answer = Stream([0.01 * number for number in range(20)], 20)
    return Sample(
        way=way, load=load, streams=streams, round=0, expected_tokens=20, wall_s=20 / rate, answers=[answer], tokens=20,
        steps=steps,
    )  # fmt: skip


def holds(found: list[bounds.Bound], bound: str, where: str) -> str:
    """How one bound came out."""
    (one,) = [each for each in found if (each["bound"], each["where"]) == (bound, where)]
    return str(one["holds"])


def test_without_samples_every_bound_is_open_and_none_is_left_out() -> None:
    found = bounds.all_bounds([], [])
    assert {each["holds"] for each in found} == {"open"}
    assert len(found) == 2 * (2 * len(STREAMS) + 1) + 2 * (len(STREAMS) + 3) + len(STREAMS) + 6 + 2


def test_the_loop_beside_the_server() -> None:
    samples = [sample(SERVER, GREEDY, 4, 100.0), sample(LOOP, GREEDY, 4, 101.0), sample(WORKER, GREEDY, 4, 90.0)]
    found = bounds.all_bounds(samples, [])
    assert holds(found, f"{LOOP} / {SERVER}", f"{GREEDY}, 4") == "yes"
    assert holds(found, f"{WORKER} / {SERVER}", f"{GREEDY}, 4") == "no"
    assert holds(found, f"{WORKER} / {SERVER}", f"{GREEDY}, 8") == "open"


def test_the_loop_beside_raw_c_with_prompts_and_without() -> None:
    slow = Steps(decode_s=0.19, sampling_s=0.005, total_s=0.2, full_s=0.1, full_tokens=10)
    fast = Steps(decode_s=0.2, total_s=0.2, full_s=0.1, full_tokens=11)
    samples = [sample(LOOP, GREEDY, 4, 98.0, slow), sample(RAW, GREEDY, 4, 100.0, fast)]
    found = bounds.all_bounds(samples, [])
    assert holds(found, f"{LOOP} / raw C, prompts too", f"{GREEDY}, 4") == "yes"
    assert holds(found, f"{LOOP} / raw C, only decoding", f"{GREEDY}, 4") == "no"
    assert holds(found, "Python's share of a step", f"{GREEDY}, 4") == "yes"


def test_python_and_tails_above_their_bounds_are_missed() -> None:
    heavy = Steps(decode_s=0.1, total_s=0.2)
    samples = [sample(LOOP, GREEDY, 16, 100.0, heavy), sample(WORKER, GREEDY, 16, 100.0, heavy)]
    samples[1].answers[0].stamps_s.append(5.0)
    found = bounds.all_bounds(samples, [])
    assert holds(found, "Python's share of a step", f"{GREEDY}, 16") == "no"
    assert holds(found, "decoding, of the wall time", f"{GREEDY}, 16") == "no"
    assert holds(found, "p99 / median between tokens", f"{GREEDY}, 16") == "no"


def test_sharing_is_judged_beside_the_server_at_once_and_one_at_a_time() -> None:
    samples = [sample(WORKER, SHARED, 8, 60.0), sample(SERVER, SHARED, 8, 25.0), sample(SERVER, ALONE, 1, 30.0)]
    found = bounds.all_bounds(samples, [])
    assert holds(found, f"{WORKER} / {SERVER}", f"{SHARED}, 8") == "yes"
    assert holds(found, f"{WORKER} / {SERVER} one at a time", f"{SHARED}, 8") == "no"


def test_memory_is_judged_by_file_and_by_what_is_loaded() -> None:
    memory = [
        {"format": "F16", "file_bytes": 100, "loaded_bytes": 100},
        {"format": "Q8_0", "file_bytes": 50, "loaded_bytes": 50},
        {"format": "Q4_0", "file_bytes": 35, "loaded_bytes": 55},
    ]
    found = bounds.all_bounds([], memory)[-2:]
    assert [(each["figure"]["value"], each["holds"]) for each in found] == [(0.65, "yes"), (0.45, "no")]
