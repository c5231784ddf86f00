"""How the supervisor starts each kind of child: argument list, environment, descriptors. Pure but for paths.

The environment is a fixed list, never the operator's own: a worker must not learn a secret that happens
to be set, and nothing in it may change what a child loads.
"""

import os
import sys
import sysconfig
from pathlib import Path

from msgspec import structs

from engine.plan import ProcessPlan
from gateway.http.tls_groups import openssl_config
from gateway.supervision.child_process import Command

ROOT = Path(__file__).resolve().parents[2]
ENGINE_OOM_SCORE = 500  # under memory pressure a worker goes first: it is restarted, its clients are told
GATEWAY_OOM_SCORE = -500
FLASH_ATTENTION = {None: "auto", True: "on", False: "off"}  # auto: llama.cpp chooses


def engine_command(process: ProcessPlan, listen_fd: int) -> Command:
    """The preparer or worker of `process`, accepting on `listen_fd`."""
    module = "engine.preparer" if process.role == "preparer" else "engine.worker"
    own = _preparer_arguments(process) if process.role == "preparer" else _worker_arguments(process)
    shared = {
        "model-file": process.model_file,
        "model": process.model,
        "context-tokens": process.context_tokens,
        "memory-bytes": process.memory_bytes,
        "listen-fd": listen_fd,
        "sandbox": process.sandbox,
    }
    return Command(
        name=process.name,
        argv=(*_python(module, {**shared, **own}), *_adapter_arguments(process), *_projector_arguments(process)),
        environment=engine_environment(process.threads),
        passed_fds=(listen_fd,),
        oom_score_adj=ENGINE_OOM_SCORE,
        relayed=True,
    )


def gateway_command(  # noqa: PLR0913 (one for each file and socket that it is given)
    *,
    home: Path,
    config: Path,
    policy: Path,
    public_fd: int,
    admin_fd: int,
    ready_fd: int,
    console_fd: int | None = None,
) -> Command:
    """A gateway process of `home`, accepting on its listeners and saying on `ready_fd` when it does."""
    console = {} if console_fd is None else {"console-fd": console_fd}
    arguments = {
        "home": home,
        "config": config,
        "policy": policy,
        "public-fd": public_fd,
        "admin-fd": admin_fd,
        "ready-fd": ready_fd,
        **console,
    }
    return Command(
        name="gateway",
        argv=_python("gateway.process", arguments),
        environment=_environment(),
        passed_fds=(public_fd, admin_fd, ready_fd, *console.values()),
        oom_score_adj=GATEWAY_OOM_SCORE,
    )


def with_tls_groups(command: Command) -> Command:
    """`command` with the key exchange groups of TLS restricted: OpenSSL reads them before the child can say any."""
    return structs.replace(command, environment={**command.environment, "OPENSSL_CONF": str(openssl_config())})


def engine_environment(threads: int = 1) -> dict[str, str]:
    """The whole environment of an engine process with that many compute threads."""
    return {**_environment(), **_native_environment(threads)}


def _preparer_arguments(process: ProcessPlan) -> dict[str, object]:
    return {"timeout-s": process.timeout_s, "yarn": str(process.yarn)}


def _worker_arguments(process: ProcessPlan) -> dict[str, object]:
    return {
        "role": process.role,
        "slots": process.slots,
        "batch-tokens": process.batch_tokens,
        "threads": process.threads,
        "kv-type": process.kv_type,
        "flash-attention": FLASH_ATTENTION[process.flash_attention],
        "kv-cells": process.kv_cells,
        "gpu-layers": process.gpu_layers,
        "cpu-expert-layers": process.cpu_expert_layers,
        "weights": "mapped" if process.mapped_weights else "read",
        "idle-bytes": process.idle_bytes,
        "yarn": str(process.yarn),
    }


def _adapter_arguments(process: ProcessPlan) -> tuple[str, ...]:
    return tuple(text for name, file in process.adapters for text in ("--adapter", f"{name}={file}"))


def _projector_arguments(process: ProcessPlan) -> tuple[str, ...]:
    return ("--projector", process.projector) if process.projector else ()


def _python(module: str, arguments: dict[str, object]) -> tuple[str, ...]:
    # -P: without it Python would import from the working directory first.
    pairs = [text for name, value in arguments.items() for text in (f"--{name}", str(value))]
    return (sys.executable, "-P", "-m", module, *pairs)


def _environment() -> dict[str, str]:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    if str(ROOT) not in (sysconfig.get_path("purelib"), sysconfig.get_path("platlib")):
        environment["PYTHONPATH"] = str(ROOT)  # a checkout: children run the code that the supervisor runs
    return environment


def _native_environment(threads: int) -> dict[str, str]:
    return {
        # llama.cpp would start gdb on a failed assertion.
        "GGML_NO_BACKTRACE": "1",
        # One pool of threads a process, of the planned size; numpy's BLAS gets none of its own.
        "OMP_NUM_THREADS": str(threads),
        "OPENBLAS_NUM_THREADS": "1",
        # A barrier spins briefly, then sleeps: spinning against another busy process costs two thirds of the
        # throughput, never spinning costs as much on an idle machine.
        "GOMP_SPINCOUNT": "2000",
    }
