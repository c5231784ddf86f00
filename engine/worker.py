"""Main of a worker process: one model, one role, S slots, behind two walls.

    python -m engine.worker --model-file PATH --model NAME --role chat|embedding --slots N
        --context-tokens N --batch-tokens N --threads N --memory-bytes N --listen-fd FD [--adapter NAME=FILE ...]
        [--projector FILE] [--kv-type TYPE] [--flash-attention auto|on|off] [--kv-cells N] [--gpu-layers N]
        [--cpu-expert-layers N] [--weights mapped|read] [--idle-bytes N]
        [--yarn F:TOKENS]

Order, and why:
 (1) arguments
 (2) die with the supervisor, so that no worker outlives it unseen
 (3) the first wall, before numpy and llama.cpp are imported (their threads would stay outside of it) and before the
     model file is opened (the parse is the dangerous part); behind it the structural check of the file
 (4) imports, load, one warm-up batch: compute threads exist, the weights give finite numbers; an adapter that does
     not load, or gives none, is left out and named on stderr; a projector looks at one picture
 (5) the second wall, once everything that serving needs is loaded and imported
 (6) serve on the listening socket that was handed down, until SIGTERM

Exit status: 0 after SIGTERM, 2 for wrong arguments, 3 when the model cannot be loaded, 4 when serving it needs more
than the memory cap (one line on stderr).
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

from engine.death import CANNOT_LOAD, LEFT_FOR_ANOTHER, OUT_OF_MEMORY
from engine.frames import PROTOCOL_VERSION, WorkerHello
from engine.kv_memory import KV_TYPES, KvMemory
from engine.model_check import check_model_file
from engine.model_options import ModelOptions
from engine.own_stderr import mute_libraries
from engine.process_start import (
    LoadFailed,
    add_sandbox_argument,
    die_with_supervisor,
    raise_second_wall,
    raise_wall,
)
from engine.serving_imports import import_for_worker
from engine.store.projector_check import read_projector
from engine.store.yarn import NO_YARN, read_yarn
from engine.syscall_allowlist import SERVING

if TYPE_CHECKING:
    from engine.batching.llama_backend import LlamaBackend
    from engine.batching.llama_eyes import LlamaEyes
    from engine.batching.step_result import Loop

FLASH_ATTENTION = {"auto": None, "on": True, "off": False}  # auto: llama.cpp chooses


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker; returns the exit status."""
    options = read_arguments(arguments)
    die_with_supervisor()
    stop, wake = socket.socketpair()
    try:
        raise_wall(options, "worker")
        header = check_model_file(options.model_file)
        if options.projector:
            check_model_file(options.projector, read=lambda path: read_projector(path, header))
        loop, context_tokens = _load(options)
        mute_libraries()
        _stop_on_sigterm(wake)
        return _serve(options, loop, context_tokens, stop)
    except LoadFailed as fault:
        sys.stderr.write(f"worker: cannot load {options.model}: {fault}\n")
        return CANNOT_LOAD
    except MemoryError:
        cap = f"the {options.memory_bytes} bytes of its memory cap"
        sys.stderr.write(f"worker: {options.model} needs more than {cap}\n")
        return OUT_OF_MEMORY


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits with status 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m engine.worker", allow_abbrev=False)
    parser.add_argument("--model-file", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--role", choices=("chat", "embedding"), required=True)
    for name in ("--slots", "--context-tokens", "--batch-tokens", "--threads", "--memory-bytes"):
        parser.add_argument(name, type=_positive, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--adapter", type=_named_file, action="append", default=[])
    parser.add_argument("--projector", type=Path)
    parser.add_argument("--kv-type", choices=KV_TYPES, default="f16")
    parser.add_argument("--flash-attention", choices=tuple(FLASH_ATTENTION), default="auto")
    parser.add_argument("--kv-cells", type=_not_negative, default=0)
    parser.add_argument("--gpu-layers", type=_not_negative, default=0)
    parser.add_argument("--cpu-expert-layers", type=_not_negative, default=0)
    parser.add_argument("--weights", choices=("mapped", "read"), default="mapped")
    parser.add_argument("--idle-bytes", type=_not_negative, default=0)
    parser.add_argument("--yarn", type=read_yarn, default=NO_YARN)
    add_sandbox_argument(parser)
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _not_negative(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError("must be 0 or more")
    return number


def kv_memory(options: argparse.Namespace) -> KvMemory:
    """What the command line says of the context memory."""
    flash_attention = FLASH_ATTENTION[options.flash_attention]
    return KvMemory(cells=options.kv_cells, kv_type=options.kv_type, flash_attention=flash_attention)


def _named_file(text: str) -> tuple[str, Path]:
    name, equals, file = text.partition("=")  # no name of a model holds one
    if not (name and equals and file):
        raise argparse.ArgumentTypeError("must be NAME=FILE")
    return name, Path(file)


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
    from engine.batching.adapter_groups import AdapterGroups  # noqa: PLC0415 - behind the wall, see (3)
    from engine.batching.batching import Batching  # noqa: PLC0415
    from engine.batching.llama_backend import LlamaBackend  # noqa: PLC0415

    backend = LlamaBackend(
        options.model_file,
        slots=options.slots,
        context_tokens=options.context_tokens,
        batch_tokens=options.batch_tokens,
        threads=options.threads,
        options=ModelOptions(
            adapters=dict(options.adapter),
            kv=kv_memory(options),
            gpu_layers=options.gpu_layers,
            cpu_expert_layers=options.cpu_expert_layers,
            rows_together=options.batch_tokens if options.projector else 0,
            mapped_weights=options.weights == "mapped",
            idle_bytes=options.idle_bytes,
            yarn=options.yarn,
        ),
    )
    backend.warm_up()
    for name, why in backend.adapters.faults.items():
        sys.stderr.write(f"worker: {options.model}: cannot load its adapter {name}: {why}\n")
    loop = Batching(
        backend,
        slots=options.slots,
        context_tokens=backend.context_tokens,
        batch_tokens=options.batch_tokens,
        clock=time.monotonic_ns,
        adapters=AdapterGroups(backend.adapters.names, backend.use_adapter),
    )
    if options.projector:
        loop.see_with(_open_eyes(options, backend))
    return loop, backend.context_tokens


def _open_eyes(options: argparse.Namespace, backend: "LlamaBackend") -> "LlamaEyes":
    """The projector, loaded and warm. Raises LlamaFault."""
    from engine.batching.llama_eyes import LlamaEyes  # noqa: PLC0415 - behind the wall, see (3)

    model, context = backend.lend()
    eyes = LlamaEyes(options.projector, model, context, batch_tokens=options.batch_tokens, threads=options.threads)
    eyes.warm_up()
    return eyes


def _load_embedding(options: argparse.Namespace) -> tuple["Loop", int]:
    from engine.batching.embedding import EmbeddingLoop  # noqa: PLC0415 - behind the wall, see (3)
    from engine.batching.llama_backend import LlamaVectors  # noqa: PLC0415

    backend = LlamaVectors(
        options.model_file,
        context_tokens=options.context_tokens,
        batch_tokens=options.batch_tokens,
        threads=options.threads,
        mapped_weights=options.weights == "mapped",
        yarn=options.yarn,
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


def _serve(options: argparse.Namespace, loop: "Loop", context_tokens: int, stop: socket.socket) -> int:
    from engine.batching.worker_service import (  # noqa: PLC0415 - behind the wall, see (3)
        MAX_CONNECTIONS,
        WorkerService,
    )

    hello = WorkerHello(
        version=PROTOCOL_VERSION,
        model=options.model,
        role=options.role,
        slots=options.slots,
        slot_context_tokens=context_tokens,
        threads=options.threads,
        pid=os.getpid(),
        adapters=loop.adapters,
        life=os.urandom(8).hex(),
    )
    with socket.socket(fileno=options.listen_fd) as listener:
        service = WorkerService(listener, loop, hello, stop)
        import_for_worker()
        raise_second_wall(options, "worker", connections=MAX_CONNECTIONS, calls=SERVING)
        service.run()
        return LEFT_FOR_ANOTHER if service.left_for_another else 0


if __name__ == "__main__":
    sys.exit(main())
