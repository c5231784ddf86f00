"""The worker's command line; the process itself is in tests/e2e."""

from pathlib import Path

import pytest

from engine.worker import read_arguments

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
