"""A program counts as a peer only when it computes with the workers' own libraries."""

from bench.peers.same_library import OURS, differences, loaded

OWN = "/venv/llama_cpp/lib"
LDD = f"""
	linux-vdso.so.1 (0x00007ffd)
	libllama.so.0 => {OWN}/libllama.so.0 (0x00007f01)
	libggml.so.0 => {OWN}/libggml.so.0 (0x00007f02)
	libggml-base.so.0 => {OWN}/libggml-base.so.0 (0x00007f03)
	libggml-cpu.so.0 => {OWN}/libggml-cpu.so.0 (0x00007f04)
	libllama-common.so.0 => /venv/lib/libllama-common.so.0 (0x00007f05)
	libc.so.6 => /lib/libc.so.6 (0x00007f06)
"""
WORKERS = {name: f"digest of {name}" for name in OURS}


def digest(path: str) -> str:
    """A file in the workers' folder is theirs."""
    name = path.rsplit("/", 1)[1].removesuffix(".0")
    return WORKERS[name] if path.startswith(OWN) else "another's"


def test_only_the_libraries_of_llama_cpp_are_looked_at() -> None:
    assert set(loaded(LDD)) == {*OURS, "libllama-common.so"} - {"libmtmd.so"}


def test_the_workers_own_libraries_are_no_difference() -> None:
    assert differences(LDD, WORKERS, digest) == []


def test_another_library_of_the_same_name_is_named() -> None:
    other = LDD.replace(f"{OWN}/libggml-cpu.so.0", "/usr/lib/libggml-cpu.so.0")
    assert differences(other, WORKERS, digest) == [
        "libggml-cpu.so is /usr/lib/libggml-cpu.so.0, not the workers' own"
    ]  # fmt: skip


def test_a_library_that_is_not_found_is_named_once() -> None:
    lost = LDD.replace(f"{OWN}/libllama.so.0 (0x00007f01)", "not found")
    assert differences(lost, WORKERS, digest) == ["libllama.so is not found"]


def test_a_program_without_the_library_is_no_peer() -> None:
    assert differences("	libc.so.6 => /lib/libc.so.6\n", WORKERS, digest) == [
        "libllama.so is not loaded",
        "libggml-base.so is not loaded",
    ]


def test_the_common_library_may_lie_anywhere_but_must_be_there() -> None:
    lost = LDD.replace("/venv/lib/libllama-common.so.0 (0x00007f05)", "not found")
    assert differences(lost, WORKERS, digest) == ["libllama-common.so is not found"]
