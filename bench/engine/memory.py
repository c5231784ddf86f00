"""The same weights in several formats: the file, and what a process holds once it has loaded it.

Every format is made from the small model's own 4 bits, so only sizes and speeds of it mean anything, no answers.
Each is loaded in a process of its own; `loaded_bytes` is by how much its proportional set size grew from before the
load until the first tokens were computed, with a small memory for keys and values, so that weights are what counts;
`mapped_bytes` are pages of files, which the kernel may drop and read again, counted whole whoever else has them. It is
mapped or read as the planner has it for a worker that is the model's only one.
"""

import multiprocessing
import os
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.engine.way import all_cores
from bench.pool_admission.faster_model import requantised
from engine.fitting.model_size import model_size_of
from engine.store.gguf_check import read_model
from engine.weight_loading import maps_weights

FORMATS = {"F16": 1, "Q8_0": 7, "Q4_K_M": 15, "Q4_0": 2}
"""llama.cpp's LLAMA_FTYPE_MOSTLY_* numbers."""
LOAD_WITHIN_S = 120.0
TOKENS = 64


def formats(model_file: Path, folder: Path, names: tuple[str, ...] = tuple(FORMATS)) -> list[dict[str, Any]]:
    """Sizes of each format, in bytes; the files are removed again."""
    found = []
    for name in names:
        made = requantised(model_file, folder, FORMATS[name])
        try:
            found.append({"format": name, "file_bytes": made.stat().st_size, **loaded(made)})
        finally:
            made.unlink()
    return found


def loaded(model_file: Path) -> dict[str, int]:
    """What a process of its own holds once it has loaded this file, in bytes; see the head."""
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_load, args=(theirs, model_file), daemon=True)
    process.start()
    theirs.close()
    try:
        if not ours.poll(LOAD_WITHIN_S):
            raise TimeoutError(f"{model_file.name} was not loaded within {LOAD_WITHIN_S:.0f} s")
        return dict(ours.recv())
    finally:
        process.join(10)
        if process.is_alive():
            process.terminate()


def _load(pipe: Connection, model_file: Path) -> None:
    """In the other process: load, compute one full batch, say what it holds."""
    os.sched_setaffinity(0, all_cores())
    import numpy as np  # noqa: PLC0415 - in the child alone

    from engine.batching.batch import Batch  # noqa: PLC0415
    from engine.batching.llama_backend import LlamaBackend  # noqa: PLC0415
    from engine.model_options import ModelOptions  # noqa: PLC0415

    options = ModelOptions(mapped_weights=is_mapped(model_file))
    before = held()
    backend = LlamaBackend(model_file, slots=1, context_tokens=256, batch_tokens=TOKENS, threads=1, options=options)
    batch = Batch(TOKENS, 1)
    batch.add(0, np.arange(TOKENS, dtype=np.int32), 0, results="last")
    backend.decode(batch, None)
    after = held()
    grown = {name: after[name] - before[name] for name in ("Rss", "Pss", "Anonymous")}
    pipe.send(
        {
            "loaded_bytes": grown["Pss"],
            "mapped_bytes": grown["Rss"] - grown["Anonymous"],
            "rss_bytes": after["Rss"],
            "pss_bytes": after["Pss"],
        }
    )
    backend.close()


def is_mapped(model_file: Path) -> bool:
    """Whether the planner would map this file for a worker that is its only one."""
    size = model_size_of(read_model(model_file))
    return maps_weights(weights_bytes=size.weights_bytes, repacked_bytes=size.repacked_bytes, processes=1, gpu_layers=0)


def held() -> dict[str, int]:
    """What this process holds, in bytes, as the kernel counts it: Rss, Pss and the rest of smaps_rollup."""
    found = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024
    return found
