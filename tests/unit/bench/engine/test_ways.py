"""What each way is asked and how its answers are read, without running any of them."""

import json
import os
from pathlib import Path

import pytest

from bench.engine import gateway_way, llama_server, python_server, raw_c, worker_socket
from bench.engine.board import Board, first_cause, label
from bench.engine.sample import Sample, Stream, sample_of
from bench.engine.way import CannotRun, Setting
from bench.engine.workload import SCHEMA, Load, Prompt, Prompts
from engine.interface import StepReport
from tests.unit.bench.engine.test_workload import tokenize

SETTING = Setting(model_file=Path("/m.gguf"), folder=Path("/nowhere"))
GREEDY = Load(name="greedy", streams=2, requests=4, prompt_tokens=16, output_tokens=8)
HOT = Load(name="hot", streams=2, requests=2, temperature=0.8, schema=True)
PROMPT = Prompt(" time year", (5, 6), 9)
LINE = (
    '{"n_kv_max": 16384, "pp": 16, "tg": 8, "pl": 2, "t_pp": 1.0, "speed_pp": 1, "t_tg": 3.0, "speed_tg": 2, "t": 4.0}'
)


def test_raw_c_runs_one_wave_and_counts_all() -> None:
    found = raw_c.read(f"main: noise\n\n{LINE}\n", "raw", GREEDY, 3)
    assert (found.tokens, found.wall_s, found.round) == (32, 8.0, 3)
    assert found.tokens == GREEDY.expected_tokens
    assert found.steps is not None
    assert found.steps.full_tokens / found.steps.full_s == pytest.approx(32 / 6)


def test_raw_c_gets_the_same_memory_threads_and_batch() -> None:
    words = raw_c.arguments(SETTING, GREEDY)
    pairs = dict(zip(words[1::2], words[2::2], strict=True))
    assert pairs["-c"] == "16384"
    assert (pairs["-t"], pairs["-tb"], pairs["-npl"], pairs["-npp"], pairs["-ntg"]) == ("1", "1", "2", "16", "8")


def test_raw_c_takes_only_plain_greedy_loads() -> None:
    way = raw_c.RawC(SETTING, Path("/nowhere/llama-batched-bench"))
    assert way.offers(GREEDY) == ""
    assert way.offers(HOT) == "it does not sample"
    assert way.offers(Load(name="x", streams=1, requests=1, shared_tokens=8)) == "it knows no requests"


def test_programs_that_are_not_built_say_how_to_build_them() -> None:
    nowhere = Path("/nowhere")
    for way in (
        raw_c.RawC(SETTING, nowhere / "llama-batched-bench"),
        llama_server.LlamaServer(SETTING, nowhere / "llama-server"),
        python_server.PythonServer(SETTING, nowhere),
    ):
        with pytest.raises(CannotRun, match="make peers"):
            way.__enter__()


def test_llama_server_is_asked_with_ids_and_for_every_token() -> None:
    asked = llama_server.body(GREEDY, PROMPT)
    assert (asked["prompt"], asked["n_predict"], asked["ignore_eos"]) == ([5, 6], 8, True)
    assert (asked["samplers"], asked["top_k"]) == (["top_k"], 1)
    held = llama_server.body(HOT, PROMPT)
    assert (held["json_schema"], held["ignore_eos"], held["top_k"]) == (SCHEMA, False, 40)


def test_llama_servers_events_are_counted_by_its_last_word() -> None:
    text = b'data: {"content":" a","tokens":[7],"stop":false}\n'
    last = b'data: {"content":"","stop":true,"tokens_predicted":8}\n'
    assert llama_server.is_text(text)
    assert not llama_server.is_text(last)
    assert llama_server.count([text, last]) == 8


def test_the_gateway_is_asked_without_a_template_and_counted_by_its_last_line() -> None:
    asked = gateway_way.body(HOT, PROMPT)
    assert (asked["prompt"], asked["raw"], asked["format"]) == (" time year", True, SCHEMA)
    assert "format" not in gateway_way.body(GREEDY, PROMPT)
    assert gateway_way.is_text(b'{"model":"m","response":"a","done":false}\n')
    assert gateway_way.count([b'{"done":false}\n', b'{"done":true,"eval_count":8}\n']) == 8


def test_the_python_server_counts_its_events() -> None:
    asked = python_server.body(GREEDY, PROMPT)
    assert (asked["prompt"], asked["max_tokens"]) == (" time year", 8)
    text = b'data: {"choices": [{"text": "a", "finish_reason": null}]}\n'
    last = b'data: {"choices": [{"text": "", "finish_reason": "length"}]}\n'
    assert [python_server.is_text(line) for line in (text, last, b"data: [DONE]\n")] == [True, False, False]
    assert python_server.count([text, text, last, b"data: [DONE]\n"]) == 2
    assert python_server.PythonServer(SETTING, Path("/nowhere")).offers(HOT)


def test_a_workers_reports_add_up() -> None:
    report = StepReport(
        step_ns=10**9, decode_rows=2, prefill_rows=3, cached_tokens=4, output_tokens=2, busy_slots=2, slots=4
    )
    found = worker_socket.steps_of([report, report])
    assert (found.decode_s, found.steps, found.prefill_rows, found.cached_tokens) == (2.0, 2, 6, 8)


def test_cores_for_one_thread_and_for_more() -> None:
    two = Setting(model_file=Path("/m.gguf"), folder=Path("/nowhere"), threads=2)
    assert len(SETTING.compute_cores) == 1
    assert two.compute_cores >= two.other_cores | SETTING.compute_cores
    assert json.dumps(sorted(SETTING.other_cores))


def test_the_cause_is_told_and_not_the_group_around_it() -> None:
    group = ExceptionGroup("two", [ExceptionGroup("one", [ValueError("that")]), RuntimeError("this")])
    assert str(first_cause(group)) == "that"
    assert str(first_cause(KeyError("x"))) == "'x'"


class Made:
    """A way that answers at once, until it is told to fail."""

    def __init__(self, name: str, *, fails_in_round: int = 99, starts: bool = True) -> None:
        self.name = name
        self.setting = SETTING
        self._fails_in_round = fails_in_round
        self._starts = starts
        self.rounds: list[int] = []

    def __enter__(self) -> "Made":
        if not self._starts:
            raise CannotRun("it is not built: make peers")
        return self

    def __exit__(self, *fault: object) -> None:
        return None

    def offers(self, load: Load) -> str:
        return "it does not sample" if load.temperature else ""

    def pids(self) -> list[int]:
        return [os.getpid()]

    def run(self, load: Load, prompts: list[Prompt], number: int) -> Sample:
        self.rounds.append(number)
        if number == self._fails_in_round:
            raise RuntimeError("it broke")
        return sample_of(self.name, load, number, 1.0, [Stream([0.5], load.output_tokens) for _ in prompts])


def test_a_way_that_breaks_is_named_and_the_others_go_on() -> None:
    ways = [Made("good"), Made("bad", fails_in_round=1), Made("absent", starts=False)]
    found = Board(ways, [GREEDY, HOT], Prompts(tokenize)).run(1e9, rounds=3)
    assert found.missing == {
        "bad": "failed on greedy, 2: RuntimeError: it broke",
        "absent": "it is not built: make peers",
    }
    assert [each.way for each in found.samples].count("good") == 3
    assert [each.way for each in found.samples].count("bad") == 1
    assert ways[1].rounds == [-1, 0, 1]  # the warm-up, a round, the one in which it broke
    assert found.not_offered == {("good", "hot"): "it does not sample", ("bad", "hot"): "it does not sample"}
    assert len(found.rounds_s) == 3
    assert all(each.cpu_s is not None and each.cpu_s >= 0 for each in found.samples)


def test_a_way_that_breaks_at_warming_up_takes_no_part() -> None:
    bad = Made("bad", fails_in_round=-1)
    found = Board([bad], [GREEDY], Prompts(tokenize)).run(0.0)
    assert bad.rounds == [-1]
    assert found.samples == []
    assert len(found.rounds_s) == 2


def test_ways_with_more_threads_have_it_in_their_name() -> None:
    way = Made("loop")
    assert label(way) == "loop"
    way.setting = Setting(model_file=Path("/m.gguf"), folder=Path("/nowhere"), threads=2)
    assert label(way) == "loop, 2 threads"
