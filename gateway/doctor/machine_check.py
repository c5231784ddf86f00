"""What the machine is, and complaints about how llama.cpp fits it. Pure: facts in.

Nothing here has run on a GPU: what is said of one comes from its driver's texts.
"""

from collections.abc import Iterator

from engine.fitting.explanation import size_text
from engine.fitting.machine import BACKENDS
from gateway.doctor.complaint import Complaint
from gateway.machine.build_facts import BACKEND_KINDS, Build
from gateway.machine.cpu_facts import built_features, cannot_run, left_unused
from gateway.machine.gpu_facts import GpuFacts
from gateway.machine.machine_reading import MachineFacts

# pip would take the wheel that it has kept.
REBUILD = "build it here: '.venv/bin/python -m pip cache remove llama_cpp_python', 'make clean', 'make serve'"


def machine_lines(facts: MachineFacts) -> tuple[str, ...]:
    """What the machine is, one fact a line."""
    memory, cpu = facts.memory, facts.cpu
    gpus = [_gpu_text(gpu) for gpu in facts.gpus] or ["none"]
    return (
        f"cores: {facts.cores}",
        f"memory: {size_text(memory.total_bytes)}, {size_text(memory.available_bytes)} free",
        f"CPU: {cpu.name or 'unnamed'}; {' '.join(cpu.features) or 'nothing that llama.cpp knows'}",
        *(f"GPU: {text}" for text in gpus),
        f"llama.cpp: {_build_text(facts.build)}",
    )


def machine_complaints(facts: MachineFacts) -> Iterator[Complaint]:
    """What does not fit: a build for another CPU, a GPU that no build serves, a CPU that is left unused."""
    if isinstance(facts.build, str):
        yield _complaint(facts.build, "no model can be served", REBUILD)
        return
    built = built_features(facts.build.system_info)
    if lacks := cannot_run(built, facts.cpu):
        what = f"llama.cpp was built to use {', '.join(lacks)}, which this CPU has not"
        yield _complaint(what, "workers die as they start", REBUILD)
    if unused := left_unused(built, facts.cpu):
        what = f"llama.cpp was built without {', '.join(unused)}, which this CPU has"
        yield _complaint(what, "answers take longer than they need to", REBUILD)
    yield from _gpu_complaints(facts.gpus, facts.build)


def _gpu_complaints(gpus: tuple[GpuFacts, ...], build: Build) -> Iterator[Complaint]:
    served = {BACKEND_KINDS[backend] for backend in build.backends if backend in BACKEND_KINDS}
    for kind in dict.fromkeys(gpu.kind for gpu in gpus):
        if kind not in served and "Vulkan" not in build.backends:
            engine = BACKENDS[kind]
            names = ", ".join(gpu.name for gpu in gpus if gpu.kind == kind)
            yield _complaint(
                f"llama.cpp finds no GPU, and this machine has {names}",
                "it is left unused",
                f"build for it with 'make serve ENGINE={engine}' (not run on such a machine yet)",
            )


def _gpu_text(gpu: GpuFacts) -> str:
    memory = f", {size_text(gpu.free_bytes)} of {size_text(gpu.total_bytes)} free" if gpu.total_bytes else ""
    return f"{gpu.name}{memory}"


def _build_text(build: Build | str) -> str:
    if isinstance(build, str):
        return "cannot be asked"
    features = " ".join(sorted(built_features(build.system_info)))
    return f"built for {', '.join(build.backends)}; {features}"


def _complaint(what: str, why: str, remedy: str) -> Complaint:
    return Complaint(check="machine", what=what, why=why, remedy=remedy)
