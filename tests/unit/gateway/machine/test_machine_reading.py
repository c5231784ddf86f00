"""The readers on made-up trees, and once on the machine that runs the tests."""

from pathlib import Path

import pytest

from engine.fitting.machine import Gpu
from gateway.machine import machine_reading
from gateway.machine.build_facts import Build, BuildUnknown, Device
from gateway.machine.cpu_facts import built_features, cannot_run
from gateway.machine.machine_reading import read_build, read_facts, read_gpus, read_machine, read_memory
from gateway.machine.memory_facts import MemoryUnknown

MEMINFO = "MemTotal: 1000 kB\nMemAvailable: 800 kB\n"


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def nothing_runs(root: Path) -> tuple[str, str]:
    return (str(root / "none"), "")


@pytest.mark.parametrize(
    ("group", "files"),
    [
        ("0::/a", {"sys/fs/cgroup/a/memory.max": "500000", "sys/fs/cgroup/a/memory.current": "100000"}),
        (
            "4:memory:/a",
            {
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "500000",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "150000",
                "sys/fs/cgroup/memory/a/memory.stat": "total_inactive_file 50000\ntotal_active_file 0\n",
            },
        ),
    ],
)
def test_memory_within_a_cgroup(tmp_path: Path, group: str, files: dict[str, str]) -> None:
    found = read_memory(tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/self/cgroup": group, **files}))
    assert (found.total_bytes, found.available_bytes) == (500000, 400000)


def test_memory_without_a_cgroup_and_without_proc(tmp_path: Path) -> None:
    with pytest.raises(MemoryUnknown):
        read_memory(tmp_path)
    assert read_memory(tree(tmp_path, {"proc/meminfo": MEMINFO})).available_bytes == 800 * 1024


def test_gpus_of_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_gpus(tmp_path) == ()
    monkeypatch.setattr(machine_reading, "NVIDIA_QUERY", nothing_runs(tmp_path))
    card = "sys/class/drm/card0/device"
    found = read_gpus(
        tree(
            tmp_path,
            {
                "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t RTX\n",
                f"{card}/vendor": "0x1002\n",
                f"{card}/mem_info_vram_total": "100\n",
                f"{card}/mem_info_vram_used": "40\n",
                "sys/class/drm/card1/device/vendor": "0x8086\n",
            },
        )
    )
    assert [(gpu.name, gpu.kind, gpu.free_bytes) for gpu in found] == [("RTX", "nvidia", 0), ("AMD GPU", "amd", 60)]


def test_an_apple_machine_is_asked_by_its_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "sysctl"
    tool.write_text("#!/bin/sh\necho 'Apple M2'\necho 1000\n")
    tool.chmod(0o700)
    monkeypatch.setattr(machine_reading, "APPLE_QUERY", (str(tool),))
    monkeypatch.setattr("sys.platform", "darwin")
    [gpu] = read_gpus(tmp_path)
    assert (gpu.name, gpu.free_bytes) == ("Apple M2", 1000)
    tool.write_text("#!/bin/sh\necho 'Apple M2'\nexit 1\n")
    assert read_gpus(tmp_path) == ()


def test_this_machine_and_the_installed_llama_cpp() -> None:
    facts = read_facts()
    assert facts.cores >= 1
    assert 0 < facts.memory.available_bytes <= facts.memory.total_bytes
    assert isinstance(facts.build, Build)
    assert "CPU" in facts.build.backends
    assert cannot_run(built_features(facts.build.system_info), facts.cpu) == ()
    machine = read_machine()
    assert (machine.cores, machine.memory_bytes) == (facts.cores, facts.memory.total_bytes)


def test_a_llama_cpp_that_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with pytest.raises(BuildUnknown, match=r"llama\.cpp cannot be asked"):
        read_build()
    assert isinstance(read_facts().build, str)


def test_only_gpus_that_llama_cpp_was_built_for_are_planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(tmp_path, {"proc/meminfo": MEMINFO, "proc/driver/nvidia/gpus/0/information": "Model: RTX\n"})
    monkeypatch.setattr(machine_reading, "ROOT", root)
    monkeypatch.setattr(machine_reading, "NVIDIA_QUERY", nothing_runs(tmp_path))
    assert read_machine().gpus == ()  # the one that is installed here has no code for it
    device = Device(name="CUDA0", description="RTX", backend="CUDA", type="gpu", free_bytes=7, total_bytes=8)
    monkeypatch.setattr(machine_reading, "read_build", lambda: Build(system_info="", devices=(device,)))
    assert read_machine().gpus == (Gpu(name="CUDA0 RTX", kind="nvidia", free_bytes=7),)

    def unknown() -> Build:
        raise BuildUnknown("no")

    monkeypatch.setattr(machine_reading, "read_build", unknown)
    assert read_machine().gpus == ()
