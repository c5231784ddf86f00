import sys
from pathlib import Path

import pytest
from msgspec import structs

from engine.store.yarn import Yarn
from gateway.supervision import child_commands
from gateway.supervision.child_commands import ROOT, engine_command, gateway_command, with_tls_groups
from tests.unit.engine.engine_process_fake import process_plan


def pairs(argv: tuple[str, ...]) -> dict[str, str]:
    assert argv[:3] == (sys.executable, "-P", "-m")
    return dict(zip(argv[4::2], argv[5::2], strict=True))


def test_a_worker_is_told_all_it_needs_and_given_its_socket_only() -> None:
    command = engine_command(
        process_plan(Path("/run/w.sock"), "embedding", threads=3, yarn=Yarn(4.0, 256)), listen_fd=7
    )
    assert command.argv[3] == "engine.worker"
    assert pairs(command.argv) == {
        "--model-file": "/none",
        "--model": "tiny:latest",
        "--role": "embedding",
        "--slots": "4",
        "--context-tokens": "64",
        "--batch-tokens": "32",
        "--threads": "3",
        "--kv-type": "f16",
        "--flash-attention": "auto",
        "--kv-cells": "0",
        "--gpu-layers": "0",
        "--cpu-expert-layers": "0",
        "--idle-bytes": "0",
        "--yarn": "4.0:256",
        "--weights": "mapped",
        "--memory-bytes": "1",
        "--listen-fd": "7",
        "--sandbox": "required",
    }
    assert (command.name, command.passed_fds, command.relayed) == ("worker-0", (7,), True)
    assert command.oom_score_adj > 0


def test_a_preparer_has_its_own_arguments() -> None:
    command = engine_command(process_plan(Path("/run/p.sock"), "preparer"), listen_fd=5)
    assert command.argv[3] == "engine.preparer"
    assert set(pairs(command.argv)) == {
        "--model-file",
        "--model",
        "--context-tokens",
        "--timeout-s",
        "--memory-bytes",
        "--listen-fd",
        "--sandbox",
        "--yarn",
    }


@pytest.mark.parametrize("role", ["preparer", "chat"])
def test_a_model_that_sees_has_its_projector_named(role: str) -> None:
    plan = structs.replace(process_plan(Path("/run/p.sock"), role), projector="/blobs/p")
    assert pairs(engine_command(plan, listen_fd=5).argv)["--projector"] == "/blobs/p"


def test_a_gateway_gets_both_files_and_three_descriptors() -> None:
    command = gateway_command(
        home=Path("/h"), config=Path("/c.yaml"), policy=Path("/p.yaml"), public_fd=3, admin_fd=4, ready_fd=5
    )
    assert command.argv[3] == "gateway.process"
    assert pairs(command.argv)["--policy"] == "/p.yaml"
    assert (command.passed_fds, command.relayed) == ((3, 4, 5), False)


def test_a_gateway_with_a_console_gets_its_descriptor_too() -> None:
    command = gateway_command(
        home=Path("/h"), config=Path("/c"), policy=Path("/p"), public_fd=3, admin_fd=4, ready_fd=5, console_fd=6
    )
    assert pairs(command.argv)["--console-fd"] == "6"
    assert command.passed_fds == (3, 4, 5, 6)


def test_the_environment_is_a_fixed_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    environment = engine_command(process_plan(Path("/run/w.sock"), threads=2), listen_fd=7).environment
    assert environment["OMP_NUM_THREADS"] == "2"
    assert set(environment) - {"PYTHONPATH"} == {
        "PATH",
        "LANG",
        "GGML_NO_BACKTRACE",
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "GOMP_SPINCOUNT",
    }


def test_a_gateway_is_told_of_its_tls_groups_before_it_runs() -> None:
    command = gateway_command(
        home=Path("/h"), config=Path("/c"), policy=Path("/p"), public_fd=3, admin_fd=4, ready_fd=5
    )
    environment = with_tls_groups(command).environment
    assert set(environment) - {"PYTHONPATH"} == {"PATH", "LANG", "OPENSSL_CONF"}
    assert Path(environment["OPENSSL_CONF"]).is_file()
    assert "OPENSSL_CONF" not in command.environment


def test_a_checkout_is_put_on_the_path_and_an_installation_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert child_commands._environment()["PYTHONPATH"] == str(ROOT)
    monkeypatch.setattr(child_commands.sysconfig, "get_path", lambda _name: str(ROOT))
    assert "PYTHONPATH" not in child_commands._environment()


def test_a_worker_is_told_each_of_its_adapters() -> None:
    plan = structs.replace(process_plan(Path("/run/w.sock")), adapters=(("a:1", "/b/a"), ("b:1", "/b/b")))
    assert engine_command(plan, listen_fd=7).argv[-4:] == ("--adapter", "a:1=/b/a", "--adapter", "b:1=/b/b")


def test_a_worker_is_told_what_its_context_memory_is_made_of() -> None:
    plan = structs.replace(process_plan(Path("/run/w.sock")), kv_type="q8_0", flash_attention=True, kv_cells=900)
    told = pairs(engine_command(plan, listen_fd=7).argv)
    assert [told[f"--{name}"] for name in ("kv-type", "flash-attention", "kv-cells")] == ["q8_0", "on", "900"]
