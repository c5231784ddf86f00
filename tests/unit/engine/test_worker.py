"""The worker's command line; the process itself is in tests/e2e."""

import socket
from pathlib import Path

import pytest

from engine import worker
from engine.death import OUT_OF_MEMORY
from engine.kv_memory import KvMemory
from engine.worker import kv_memory, read_arguments

ARGUMENTS = {
    "--model-file": "/m.gguf", "--model": "smollm2:135m", "--role": "chat", "--slots": "8", "--context-tokens": "4096",
    "--batch-tokens": "512", "--threads": "1", "--memory-bytes": "1073741824", "--listen-fd": "3",
}  # fmt: skip


def flat(arguments: dict[str, str]) -> list[str]:
    return [word for pair in arguments.items() for word in pair]


def test_a_whole_command_line() -> None:
    options = read_arguments(flat(ARGUMENTS))

    assert (options.model_file, options.role, options.slots, options.listen_fd) == (Path("/m.gguf"), "chat", 8, 3)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_every_argument_is_needed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments(flat({key: value for key, value in ARGUMENTS.items() if key != name}))
    assert name in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"), [("--slots", "0"), ("--threads", "-1"), ("--role", "rank"), ("--slots", "x")]
)
def test_values_out_of_range_are_refused(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments(flat(ARGUMENTS | {name: value}))
    assert name in capsys.readouterr().err


def test_adapters_are_names_and_files() -> None:
    options = read_arguments([*flat(ARGUMENTS), "--adapter", "a:1=/b/x=y", "--adapter", "b:1=/b/b"])
    assert options.adapter == [("a:1", Path("/b/x=y")), ("b:1", Path("/b/b"))]
    assert read_arguments(flat(ARGUMENTS)).adapter == []


@pytest.mark.parametrize("value", ["a:1", "=/b", "a:1="])
def test_an_adapter_without_name_or_file_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments([*flat(ARGUMENTS), "--adapter", value])
    assert "must be NAME=FILE" in capsys.readouterr().err


def test_the_memory_of_keys_and_values() -> None:
    options = read_arguments([*flat(ARGUMENTS), "--kv-type", "q8_0", "--flash-attention", "on", "--kv-cells", "900"])
    assert kv_memory(options) == KvMemory(cells=900, kv_type="q8_0", flash_attention=True)
    assert kv_memory(read_arguments(flat(ARGUMENTS))) == KvMemory()
    off = read_arguments([*flat(ARGUMENTS), "--flash-attention", "off"])
    assert kv_memory(off) == KvMemory(flash_attention=False)


@pytest.mark.parametrize(("name", "value"), [("--kv-type", "q3"), ("--flash-attention", "yes"), ("--kv-cells", "-1")])
def test_a_memory_of_another_kind_is_refused(name: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        read_arguments([*flat(ARGUMENTS), name, value])
    assert name in capsys.readouterr().err


def test_serving_that_needs_more_than_the_cap_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run_out(*_: object) -> None:
        raise MemoryError

    for name in ("die_with_supervisor", "raise_wall", "mute_libraries", "_stop_on_sigterm", "check_model_file"):
        monkeypatch.setattr(worker, name, lambda *_: None)
    monkeypatch.setattr(worker, "_load", lambda _options: (None, 64))
    ends: list[socket.socket] = []
    pair = socket.socketpair
    monkeypatch.setattr(worker.socket, "socketpair", lambda: ends.extend(pair()) or ends)
    monkeypatch.setattr(worker, "_serve", run_out)
    assert worker.main(flat(ARGUMENTS)) == OUT_OF_MEMORY
    for end in ends:
        end.close()
    assert "smollm2:135m needs more than the 1073741824 bytes of its memory cap" in capsys.readouterr().err


def test_layers_and_experts_for_devices() -> None:
    options = read_arguments([*flat(ARGUMENTS), "--gpu-layers", "3", "--cpu-expert-layers", "2"])
    assert (options.gpu_layers, options.cpu_expert_layers) == (3, 2)
    plain = read_arguments(flat(ARGUMENTS))
    assert (plain.gpu_layers, plain.cpu_expert_layers) == (0, 0)


def test_how_weights_are_held() -> None:
    assert read_arguments(flat(ARGUMENTS)).weights == "mapped"
    assert read_arguments([*flat(ARGUMENTS), "--weights", "read"]).weights == "read"
