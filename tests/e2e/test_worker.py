"""A real worker process with the real model, spoken to in frames."""

import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.frames import (
    PROTOCOL_VERSION,
    AskCounters,
    Cancel,
    Counters,
    Ended,
    FrameReader,
    Hello,
    Leaving,
    SlotTaken,
    Start,
    Step,
    WorkerAnswer,
    WorkerHello,
    encode,
)
from engine.llama import Vocabulary, load_vocabulary
from policies.call import Sampling, TokenLogprob

pytestmark = pytest.mark.e2e

GREEDY = Sampling(temperature=0.0, seed=1)
SLOTS = 8
TIMEOUT_S = 60.0


class Gateway:
    """The other end of a worker's socket, blocking and with a time limit."""

    def __init__(self, path: Path, version: int = PROTOCOL_VERSION) -> None:
        self._stream = socket.socket(socket.AF_UNIX)
        self._stream.settimeout(TIMEOUT_S)
        self._stream.connect(str(path))
        self._reader = FrameReader(WorkerAnswer)
        self._frames: list[Any] = []
        self.send(Hello(version=version))
        self.texts: dict[int, str] = {}
        self.logprobs: dict[int, list[TokenLogprob]] = {}
        self.ended: dict[int, Ended] = {}
        self.taken: list[int] = []
        self.steps: list[Step] = []

    def send(self, *frames: Any) -> None:
        self._stream.sendall(b"".join(map(encode, frames)))

    def read(self) -> Any:
        while not self._frames:
            data = self._stream.recv(1 << 16)
            if not data:
                raise ConnectionResetError("the worker closed the connection")
            self._frames += self._reader.feed(data)
        return self._frames.pop(0)

    def take(self) -> Any:
        """The next frame, with its outputs kept."""
        frame = self.read()
        if isinstance(frame, SlotTaken):
            self.taken.append(frame.id)
        if isinstance(frame, Step):
            self.steps.append(frame)
            for output in frame.outputs:
                self.texts[output.id] = self.texts.get(output.id, "") + output.text
                self.logprobs.setdefault(output.id, []).extend(output.logprobs)
            self.ended |= {ended.id: ended for ended in frame.ended}
        return frame

    def run(self, *starts: Start) -> None:
        """Start all and read until all are over."""
        self.send(*starts)
        while not all(start.id in self.ended or start.id in self.taken for start in starts):
            self.take()

    def counters(self) -> Counters:
        self.send(AskCounters())
        while not isinstance(frame := self.take(), Counters):
            pass
        return frame

    def close(self) -> None:
        self._stream.close()


@contextmanager
def worker(
    model: Path, folder: Path, role: str = "chat", through: str = "", **changes: object
) -> Iterator[tuple[Path, Any]]:
    """A worker process and the path of its socket; `through` is a script that starts it instead of us."""
    path = folder / f"{role}.sock"
    values: dict[str, object] = {
        "model-file": model, "model": "smollm2:135m", "role": role, "slots": SLOTS, "context-tokens": 2048,
        "batch-tokens": 512, "threads": 1, "memory-bytes": 2 << 30,
    } | {name.replace("_", "-"): value for name, value in changes.items()}  # fmt: skip
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        command = [sys.executable, "-m", "engine.worker", "--listen-fd", str(listener.fileno())]
        for name, value in values.items():
            for each in value if isinstance(value, list) else [value]:
                command += [f"--{name}", str(each)]
        if through:
            command = [sys.executable, "-c", through, str(listener.fileno()), *command]
        process = subprocess.Popen(command, pass_fds=[listener.fileno()], stderr=subprocess.PIPE, text=True)
    try:
        yield path, process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


@pytest.fixture(scope="module")
def chat_socket(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with worker(model_file, tmp_path_factory.mktemp("chat")) as (path, _):
        yield path


@pytest.fixture
def gateway(chat_socket: Path) -> Iterator[Gateway]:
    gateway = Gateway(chat_socket)
    assert isinstance(gateway.read(), WorkerHello)
    yield gateway
    gateway.close()


@pytest.fixture(scope="module")
def vocabulary(model_file: Path) -> Vocabulary:
    return load_vocabulary(model_file)


@pytest.fixture
def start(vocabulary: Vocabulary) -> Any:
    def make(id_: int, prompt: str, tokens: int = 16, **changes: Any) -> Start:
        ids = vocabulary.tokenize(prompt, special=True, bos=True).astype("<i4").tobytes()
        fields: dict[str, Any] = {"sampling": GREEDY, "cache_scope": "team-a"} | changes
        return Start(id=id_, token_ids=(ids,), max_output_tokens=tokens, **fields)

    return make


def test_the_capital_of_france_is_paris(gateway: Gateway, start: Any) -> None:
    gateway.run(start(1, "The capital of France is", top_logprobs=2))

    assert gateway.texts[1].startswith(" Paris")
    ended = gateway.ended[1]
    assert (ended.reason, ended.fault, ended.output_tokens, len(ended.token_ids)) == ("length", "", 16, 64)
    assert ended.prompt_tokens == 5
    assert ended.prefill_ns > 0
    assert ended.decode_ns > 0
    first = gateway.logprobs[1][0]
    assert (first.token, first.token_bytes, first.top[0].token, len(first.top)) == (" Paris", b" Paris", " Paris", 2)
    assert len(gateway.logprobs[1]) == 16
    assert -5 < first.logprob < 0


PROMPTS = ("The capital of France is", "Water boils at", "Once upon a time", "The sun is", "In 1999,", "Dogs and cats",
           "Python is a", "Alice was")  # fmt: skip


def test_eight_streams_share_each_decode(gateway: Gateway, start: Any) -> None:
    for id_, prompt in enumerate(PROMPTS):  # alone first: what the batch must not change
        gateway.run(start(100 + id_, prompt, 1, cache_scope=f"alone-{id_}", top_logprobs=2))
    before = gateway.counters()
    gateway.run(
        *(start(id_, prompt, 24, cache_scope=f"together-{id_}", top_logprobs=0) for id_, prompt in enumerate(PROMPTS))
    )
    after = gateway.counters()

    assert after.output_tokens - before.output_tokens >= 4 * (after.decode_calls - before.decode_calls)
    # Where a sequence lies in memory changes the rounding (0.2 nats were seen), so a close call may go either way.
    clear = [id_ for id_ in range(len(PROMPTS)) if _margin(gateway.logprobs[100 + id_][0]) > 1]
    assert 0 in clear
    for id_ in clear:
        assert gateway.logprobs[id_][0].token == gateway.logprobs[100 + id_][0].token


def _margin(logprob: TokenLogprob) -> float:
    return logprob.top[0].logprob - logprob.top[1].logprob


def test_a_ninth_request_finds_no_slot(gateway: Gateway, start: Any) -> None:
    gateway.run(*(start(id_, "One two three", 4) for id_ in range(SLOTS + 1)))

    assert gateway.taken == [SLOTS]
    assert len(gateway.ended) == SLOTS


def test_a_prefix_is_reused_within_a_scope_only(gateway: Gateway, start: Any) -> None:
    system = "You are a careful assistant who answers in short sentences. " * 8
    gateway.run(start(1, system + "Hello", 4, cache_scope="scope-1"))
    gateway.run(start(2, system + "Good day", 4, cache_scope="scope-1"))
    gateway.run(start(3, system + "Good day", 4, cache_scope="scope-2"))

    assert gateway.ended[1].cached_tokens == 0
    assert gateway.ended[2].cached_tokens >= 80
    assert gateway.ended[3].cached_tokens == 0


def test_requests_that_start_together_compute_their_prefix_once(gateway: Gateway, start: Any) -> None:
    system = "The following is a list of facts about rivers and mountains. " * 20
    before = gateway.counters()
    gateway.run(*(start(id_, system + PROMPTS[id_], 4, cache_scope="flight") for id_ in range(4)))
    after = gateway.counters()

    prompts = sum(gateway.ended[id_].prompt_tokens for id_ in range(4))
    assert after.prefill_tokens - before.prefill_tokens < prompts / 2
    assert after.cached_tokens - before.cached_tokens > prompts / 2


def test_stop_strings_and_end_tokens(gateway: Gateway, start: Any) -> None:
    sampling = Sampling(temperature=0.0, seed=1, stop=("aris",))
    gateway.run(start(1, "The capital of France is", sampling=sampling))
    chat = "<|im_start|>user\nSay hi.<|im_end|>\n<|im_start|>assistant\n"
    gateway.run(start(2, chat, 400))

    assert gateway.texts[1] == " P"
    assert gateway.ended[1].reason == "stop"
    assert gateway.ended[2].reason == "stop"
    assert "<|im_end|>" not in gateway.texts[2]


def test_a_grammar_holds_the_output(gateway: Gateway, start: Any) -> None:
    grammar = 'root ::= "{\\"name\\": \\"" [a-z]{1,12} "\\"}"'
    hot = Sampling(temperature=1.0, seed=7)
    gateway.run(
        start(1, "Give me a name as JSON:", 32, grammar=grammar),
        start(2, "Give me a name as JSON:", 32, grammar=grammar, sampling=hot),
        start(3, "Give me a name", grammar="root ::= ("),
    )

    for id_ in (1, 2):
        assert gateway.texts[id_].startswith('{"name": "')
        assert gateway.texts[id_].endswith('"}')
        assert gateway.ended[id_].reason == "stop"
    assert gateway.ended[3].fault == "the grammar does not compile"


def test_penalties_hold_at_temperature_0(gateway: Gateway, start: Any) -> None:
    harsh = Sampling(temperature=0.0, seed=1, presence_penalty=100.0, repeat_last_n=-1)
    gateway.run(start(1, "a a a a a a a a", 24, sampling=harsh))

    ids = np.frombuffer(gateway.ended[1].token_ids, "<i4").tolist()
    assert len(ids) == len(set(ids))


def test_a_seed_repeats_its_draw(model_file: Path, tmp_path: Path, start: Any) -> None:
    with worker(model_file, tmp_path, slots=1) as (path, _):  # one slot: each run has the same place in memory
        gateway = Gateway(path)
        for id_, seed in ((1, 5), (2, 5), (3, 6)):
            sampling = Sampling(seed=seed)
            gateway.run(start(id_, "Once upon a time", 24, sampling=sampling, cache_scope=f"seed-{id_}"))
        gateway.close()

    assert gateway.texts[1] == gateway.texts[2] != gateway.texts[3]


def test_a_cancel_inside_a_long_prefill_frees_the_slot(gateway: Gateway, start: Any) -> None:
    before = gateway.counters()
    long = start(1, "The quick brown fox jumps over the lazy dog. " * 190, 4, cache_scope="long")
    gateway.send(long, AskCounters())  # together, so the answer comes just before the first chunk of 512 rows
    while not isinstance(running := gateway.take(), Counters):
        pass
    gateway.send(Cancel(id=1))
    while (after := gateway.counters()).busy_slots:
        pass
    gateway.run(start(2, "The capital of France is", 4))

    assert running.busy_slots == 1
    assert after.cancelled == before.cancelled + 1
    assert after.prefill_tokens == before.prefill_tokens  # the chunk itself was given up
    assert 1 not in gateway.ended
    assert gateway.texts[2].startswith(" Paris")


def test_a_closed_connection_frees_its_slots(chat_socket: Path, gateway: Gateway, start: Any) -> None:
    other = Gateway(chat_socket)
    other.read()
    other.send(start(1, "Once upon a time", 1000))
    while not other.texts:
        other.take()
    before = gateway.counters()
    other.close()
    while gateway.counters().busy_slots:
        pass
    after = gateway.counters()

    assert before.busy_slots == 1
    assert after.cancelled == before.cancelled + 1
    assert after.ended == before.ended


def test_two_gateways_see_the_same_figures_but_only_their_own_requests(
    chat_socket: Path, gateway: Gateway, start: Any
) -> None:
    other = Gateway(chat_socket)
    other.read()
    other.counters()
    gateway.run(start(1, "The sun is", 8))
    other.counters()

    assert other.steps
    assert not any(step.outputs or step.ended for step in other.steps)
    assert sum(step.output_tokens for step in other.steps) == 8
    other.close()


def test_a_wrong_version_or_a_foreign_stream_is_closed(chat_socket: Path) -> None:
    wrong = Gateway(chat_socket, version=PROTOCOL_VERSION + 1)
    wrong.read()
    with pytest.raises(ConnectionResetError):
        wrong.read()
    wrong.close()
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.settimeout(TIMEOUT_S)
        foreign.connect(str(chat_socket))
        foreign.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while foreign.recv(4096):
            pass


def test_an_invalid_start_ends_with_a_fault(gateway: Gateway, start: Any) -> None:
    good = start(1, "Hello")
    bad_ids = Start(id=1, token_ids=(np.int32(10**6).tobytes(),), sampling=GREEDY, max_output_tokens=4, cache_scope="")
    empty = Start(id=2, token_ids=(), sampling=GREEDY, max_output_tokens=4, cache_scope="")
    long = Start(id=3, token_ids=(good.token_ids[0] * 3000,), sampling=GREEDY, max_output_tokens=4, cache_scope="")
    abort = start(4, "Hello", sampling=Sampling(seed=1, repeat_penalty=0.0))
    gateway.run(bad_ids, empty, long, abort)

    assert all(gateway.ended[id_].fault and gateway.ended[id_].reason is None for id_ in (1, 2, 3, 4))


def test_an_idle_worker_does_not_spin_and_sigterm_ends_it_well(model_file: Path, tmp_path: Path) -> None:
    with worker(model_file, tmp_path, slots=1, context_tokens=256) as (path, process):
        gateway = Gateway(path)
        hello = gateway.read()
        gateway.counters()
        status = Path(f"/proc/{process.pid}/status").read_text()
        before = _cpu_ticks(process.pid)
        assert not _readable_within(gateway, 0.5)
        after = _cpu_ticks(process.pid)
        process.send_signal(signal.SIGTERM)

        assert (hello.model, hello.role, hello.slots, hello.slot_context_tokens) == ("smollm2:135m", "chat", 1, 256)
        assert after - before <= 5, "ten milliseconds each, of half a second"
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
        assert "Seccomp_filters:\t2" in status  # both walls
        assert process.wait(timeout=TIMEOUT_S) == 0
        gateway.close()


def test_sigterm_ends_a_running_worker_at_the_next_step(model_file: Path, tmp_path: Path, start: Any) -> None:
    with worker(model_file, tmp_path, slots=1) as (path, process):
        gateway = Gateway(path)
        gateway.send(start(1, "Once upon a time", 1500))
        while not gateway.texts:
            gateway.take()
        process.send_signal(signal.SIGTERM)

        assert process.wait(timeout=TIMEOUT_S) == 0
        gateway.close()


def test_a_worker_does_not_outlive_its_parent(model_file: Path, tmp_path: Path) -> None:
    parent = "import subprocess, sys; subprocess.run(sys.argv[2:], pass_fds=[int(sys.argv[1])])"
    with worker(model_file, tmp_path, through=parent, slots=1, context_tokens=256) as (path, process):
        gateway = Gateway(path)
        gateway.counters()
        process.kill()
        assert isinstance(gateway.read(), Leaving)
        with pytest.raises(ConnectionResetError):
            gateway.read()
        gateway.close()


def test_embeddings_are_the_same_alone_and_in_a_batch(model_file: Path, tmp_path: Path, vocabulary: Vocabulary) -> None:
    texts = ("The cat sits on the mat.", "A cat is sitting on a mat.", "Stock prices fell sharply.", "word " * 600)
    ids = tuple(vocabulary.tokenize(text, special=True, bos=True).astype("<i4").tobytes() for text in texts)
    with worker(model_file, tmp_path, role="embedding", slots=2) as (path, _):
        gateway = Gateway(path)
        gateway.run(_embed(1, *ids), _embed(2, ids[0]))
        gateway.close()

    assert gateway.ended[1].prompt_tokens == sum(len(one) // 4 for one in ids)
    cat, other_cat, stocks, _ = (np.frombuffer(vector, "<f4") for vector in gateway.ended[1].vectors)
    (alone,) = (np.frombuffer(vector, "<f4") for vector in gateway.ended[2].vectors)
    assert cat.shape == (576,)
    assert _cosine(cat, alone) > 0.999
    assert _cosine(cat, other_cat) > _cosine(cat, stocks)


def _embed(id_: int, *ids: bytes) -> Start:
    return Start(id=id_, token_ids=ids, sampling=GREEDY, max_output_tokens=0, cache_scope="")


def _cosine(left: Any, right: Any) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


@pytest.mark.parametrize(
    ("content", "why"),
    [(b"not a model" * 100, "not a GGUF file"), (None, "No such file"), ("truncated", "the file is truncated")],
)
def test_what_cannot_be_loaded_is_named_on_one_line(
    model_file: Path, tmp_path: Path, content: bytes | str | None, why: str
) -> None:
    path = tmp_path / "model.gguf"
    if content == "truncated":
        with model_file.open("rb") as whole:
            path.write_bytes(whole.read(8 << 20))
    elif isinstance(content, bytes):
        path.write_bytes(content)
    with worker(path, tmp_path) as (_, process):
        assert process.wait(timeout=TIMEOUT_S) == 3
        error = process.stderr.read()

    assert error.startswith("worker: cannot load smollm2:135m: ")
    assert why in error
    assert error.count("\n") == 1


def test_a_memory_cap_too_small_is_a_clear_end(model_file: Path, tmp_path: Path) -> None:
    with worker(model_file, tmp_path, memory_bytes=150 << 20) as (_, process):
        status = process.wait(timeout=TIMEOUT_S)
        error = process.stderr.read()

    assert status == 3, error
    assert error.startswith("worker: cannot load smollm2:135m: ")


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def _readable_within(gateway: Gateway, seconds: float) -> bool:
    return bool(select.select([gateway._stream], [], [], seconds)[0])
