"""Bad input: one line that names the thing and the remedy, a status, and nothing half done."""

import shutil
import socket
from copy import copy
from pathlib import Path

import pytest
import yaml

from tests.e2e.serving import MODEL, Corral

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Corral:
    """What each test has a copy of."""
    folder = tmp_path_factory.mktemp("made")
    return Corral(folder, engine={"context_tokens": 256, "slots": 1, "embeddings": False}).make(None)


@pytest.fixture
def corral(made: Corral, tmp_path: Path) -> Corral:
    copied = copy(made)
    copied.home = Path(shutil.copytree(made.home, tmp_path / "home"))
    return copied


def refused(corral: Corral, *words: str) -> tuple[int, str]:
    done = corral.command(*words, check=False)
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_a_truncated_model(corral: Corral, model_file: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.gguf"
    with model_file.open("rb") as whole:
        cut.write_bytes(whole.read(5_000_000))
    status, text = refused(corral, "models", "import", str(cut), "cut")
    assert status != 0
    assert text.count("\n") == 1
    assert "cut.gguf" in text
    assert list((corral.home / "models").rglob("sha256-*")) == []


@pytest.mark.parametrize("content", [b"", b"GGUF", b"\x7fELF" + b"\0" * 99, b"ggml" + b"\0" * 999, b"PK\x03\x04"])
def test_a_foreign_file(corral: Corral, tmp_path: Path, content: bytes) -> None:
    foreign = tmp_path / "foreign.bin"
    foreign.write_bytes(content)
    status, text = refused(corral, "models", "import", str(foreign), "foreign")
    assert status != 0
    assert text.count("\n") == 1
    assert "foreign.bin" in text
    assert list((corral.home / "models").rglob("sha256-*")) == []


def test_a_model_whose_digest_changed(corral: Corral, model_file: Path) -> None:
    corral.command("models", "import", str(model_file), MODEL)
    blob = max((corral.home / "models" / "blobs").iterdir(), key=lambda file: file.stat().st_size)
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(50_000_000)
        file.write(b"\xff\x00\xff\x00")
    status, text = refused(corral, "serve")
    assert status != 0
    assert MODEL in text


def test_faults_of_both_files_are_listed_together(corral: Corral) -> None:
    (corral.home / "config.yaml").write_text("public: {port: many}\nengin: {}\n")
    (corral.home / "policy.yaml").write_text('teams: {default: {wieght: 2}}\nnetworks: {allow: ["10.0.0.1/8"]}\n')
    status, text = refused(corral, "serve")
    assert status == 2
    for expected in ("config.yaml:1", "port", "config.yaml:2", "engin", "policy.yaml:1", "wieght"):
        assert expected in text


def test_an_unreadable_file(corral: Corral) -> None:
    (corral.home / "policy.yaml").unlink()
    status, text = refused(corral, "serve")
    assert (status, text.count("\n")) == (2, 1)
    assert "policy.yaml" in text


def test_a_port_in_use(corral: Corral) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", corral.port))
        taken.listen()
        status, text = refused(corral, "serve")
    assert status != 0
    assert str(corral.port) in text
    assert "public.port" in text


@pytest.mark.parametrize("unsafe_no_tls", [False, True])
def test_a_listener_beyond_loopback_needs_a_key(corral: Corral, unsafe_no_tls: bool) -> None:
    config = yaml.safe_load((corral.home / "config.yaml").read_text())
    config["public"] |= {"address": "0.0.0.0", "unsafe_no_tls": unsafe_no_tls}
    (corral.home / "config.yaml").write_text(yaml.safe_dump(config))
    corral.command("keys", "revoke", corral.key.split("_")[1], "--reason", "test")
    status, text = refused(corral, "serve")
    assert status == 2
    assert "corral keys create" in text


def test_commands_without_a_home(tmp_path: Path) -> None:
    nowhere = Corral(tmp_path)
    for words in (("serve",), ("keys", "list"), ("models", "list"), ("teams", "list"), ("status",), ("audit", "tail")):
        status, text = refused(nowhere, *words)
        assert status in (2, 3)
        assert "corral init" in text
    assert not nowhere.home.exists()


def test_a_home_is_never_made_twice(corral: Corral) -> None:
    before = (corral.home / "pepper").read_bytes()
    status, text = refused(corral, "init")
    assert status != 0
    assert "nothing was changed" in text
    assert (corral.home / "pepper").read_bytes() == before


def test_a_home_that_lost_its_certificate(corral: Corral) -> None:
    shutil.rmtree(corral.home / "tls")
    status, text = refused(corral, "serve")
    assert status == 2
    assert "tls" in text
