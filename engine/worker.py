"""Main of a worker process: one model, one role, S slots, behind the first wall.

    python -m engine.worker --model-file PATH --model NAME --role chat|embedding --slots N
        --context-tokens N --batch-tokens N --threads N --memory-bytes N --listen-fd FD

Order, and why:
 (1) arguments
 (2) die with the supervisor, so that no worker outlives it unseen
 (3) the first wall, before numpy and llama.cpp are imported (their threads would stay outside of it) and before the
     model file is opened (the parse is the dangerous part)
 (4) imports, load, one warm-up batch: compute threads exist, the weights give finite numbers
 (5) serve on the listening socket that was handed down, until SIGTERM

Exit status: 0 after SIGTERM, 2 for wrong arguments, 3 when the model cannot be loaded (one line on stderr).
"""

import argparse
import os
import signal
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.frames import PROTOCOL_VERSION, WorkerHello
from engine.own_stderr import mute_libraries
from engine.process_start import CANNOT_LOAD, LoadFailed, die_with_supervisor, raise_wall

if TYPE_CHECKING:
    from engine.batching.step_result import Loop


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns the exit status."""
    options = read_arguments(arguments)
    die_with_supervisor()
    stop, wake = socket.socketpair()
    try:
        raise_wall(options, "worker")
        loop, context_tokens = _load(options)
    except LoadFailed as fault:
        sys.stderr.write(f"worker: cannot load {options.model}: {fault}\n")
        return CANNOT_LOAD
    mute_libraries()
    _stop_on_sigterm(wake)
    _serve(options, loop, context_tokens, stop)
    return 0


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits with status 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker", allow_abbrev=False)
    parser.add_argument("--model-file", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--role", choices=("chat", "embedding"), required=True)
    for name in ("--slots", "--context-tokens", "--batch-tokens", "--threads", "--memory-bytes"):
        parser.add_argument(name, type=_positive, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _stop_on_sigterm(wake: socket.socket) -> None:
    """Write to `wake` at SIGTERM. The handler itself does nothing: the byte ends the poll. Before this, while the
    model loads, SIGTERM ends the process at once.
    """
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to answer


def _load(options: argparse.Namespace) -> tuple["Loop", int]:
    """The loop of this role on the loaded model, and what one request may use of the context."""
    from engine.llama import LlamaFault  # noqa: PLC0415 - behind the wall, see (3)

    try:
        return _load_chat(options) if options.role == "chat" else _load_embedding(options)
    except LlamaFault as fault:
        raise LoadFailed(str(fault)) from None
    except MemoryError:
        raise LoadFailed(f"it needs more than the {options.memory_bytes} bytes of its memory cap") from None


def _load_chat(options: argparse.Namespace) -> tuple["Loop", int]:
    from engine.batching.batching import Batching  # noqa: PLC0415 - behind the wall, see (3)
    from engine.batching.llama_backend import LlamaBackend  # noqa: PLC0415

    backend = LlamaBackend(
        options.model_file,
        slots=options.slots,
        context_tokens=options.context_tokens,
        batch_tokens=options.batch_tokens,
        threads=options.threads,
    )
    backend.warm_up()
    loop = Batching(
        backend,
        slots=options.slots,
        context_tokens=backend.context_tokens,
        batch_tokens=options.batch_tokens,
        clock=time.monotonic_ns,
    )
    return loop, backend.context_tokens


def _load_embedding(options: argparse.Namespace) -> tuple["Loop", int]:
    from engine.batching.embedding import EmbeddingLoop  # noqa: PLC0415 - behind the wall, see (3)
    from engine.batching.llama_backend import LlamaVectors  # noqa: PLC0415

    backend = LlamaVectors(
        options.model_file,
        context_tokens=options.context_tokens,
        batch_tokens=options.batch_tokens,
        threads=options.threads,
    )
    backend.warm_up()
    loop = EmbeddingLoop(
        backend,
        slots=options.slots,
        context_tokens=backend.context_tokens,
        batch_tokens=backend.batch_tokens,
        clock=time.monotonic_ns,
    )
    return loop, backend.context_tokens


def _serve(options: argparse.Namespace, loop: "Loop", context_tokens: int, stop: socket.socket) -> None:
    from engine.batching.worker_service import WorkerService  # noqa: PLC0415 - behind the wall, see (3)

    hello = WorkerHello(
        version=PROTOCOL_VERSION,
        model=options.model,
        role=options.role,
        slots=options.slots,
        slot_context_tokens=context_tokens,
        threads=options.threads,
        pid=os.getpid(),
    )
    with socket.socket(fileno=options.listen_fd) as listener:
        WorkerService(listener, loop, hello, stop).run()


if __name__ == "__main__":
    sys.exit(main())
