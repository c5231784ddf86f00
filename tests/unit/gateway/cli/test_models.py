import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.cli import models
from gateway.cli.main import main
from gateway.cli.output import BAD_INPUT, FAILED, CommandFault
from gateway.homes.home import NoHome
from tests.audit_records import opened_record
from tests.unit.engine.tiny_gguf import model_bytes
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_projector, write_text_model


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    path = tmp_path / "home"
    assert main(["init", "--home", str(path)]) == 0
    capsys.readouterr()
    (tmp_path / "m.gguf").write_bytes(model_bytes(general__evil=(8, "a\x1b]0;title\x07b")))
    return path


def run(home: Path, *words: str) -> int:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true")
    common.add_argument("--home", type=Path)
    parser = argparse.ArgumentParser()
    models.add_commands(parser.add_subparsers(), common)
    arguments = parser.parse_args(["models", *words, "--home", str(home)])
    return int(arguments.run(arguments))


def test_import_list_show_and_rm(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(home, "import", str(home.parent / "m.gguf"), "Tiny") == 0
    assert capsys.readouterr().out == (
        "imported Tiny:latest: llama, 64 parameters, Q4_1, 256 tokens of context, 0.0 MiB\n"
        "a running 'corral serve' takes this up at its next start\n"
    )
    assert run(home, "list") == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("Tiny:latest")
    assert run(home, "show", "tiny") == 0
    shown = capsys.readouterr().out
    assert "llama.context_length: 256" in shown
    assert "\x1b" not in shown
    assert run(home, "rm", "tiny", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"removed": "tiny"}
    assert run(home, "list") == 0
    assert capsys.readouterr().out == "no models yet: 'corral models import FILE.gguf NAME:TAG' adds one\n"


def test_json_for_scripts(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(home, "import", str(home.parent / "m.gguf"), "tiny:1", "--json")
    imported = json.loads(capsys.readouterr().out)
    assert imported["name"] == "tiny:1"
    assert imported["model_digest"].startswith("sha256:")
    run(home, "list", "--json")
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["digest"] == imported["digest"]
    run(home, "show", "tiny:1", "--json")
    assert json.loads(capsys.readouterr().out)["model_info"]["general.architecture"] == "llama"


def test_faults_are_one_line_with_the_right_status(home: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(b"\x7fELF" + bytes(100))
    for words, status in (
        (("import", str(tmp_path / "bad"), "x"), BAD_INPUT),
        (("import", str(tmp_path / "m.gguf"), "hf.co/a/b"), BAD_INPUT),
        (("show", "none"), BAD_INPUT),
        (("rm", "none"), BAD_INPUT),
    ):
        with pytest.raises(CommandFault) as caught:
            run(home, *words)
        assert caught.value.status == status
        assert "\n" not in str(caught.value)
    with pytest.raises(NoHome):
        run(tmp_path, "list")


def test_a_damaged_entry_is_complained_of_beside_the_others(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(home, "import", str(home.parent / "m.gguf"), "good")
    (home / "models/manifests/registry.ollama.ai/library/bad").mkdir()
    (home / "models/manifests/registry.ollama.ai/library/bad/latest").write_bytes(b"{}")
    capsys.readouterr()
    assert run(home, "list") == FAILED
    out, errors = capsys.readouterr()
    assert "good:latest" in out
    assert "'corral models rm bad:latest' and import it again" in errors


def test_progress_is_for_terminals_and_large_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    progress = models._Progress(quiet=False)
    size = models._SHOW_PROGRESS_FROM_BYTES
    progress(size // 2, size)
    progress(size // 2 + 1, size)
    progress(size, size)
    assert capsys.readouterr().err == "\rcopying:  50 % of 64.0 MiB\rcopying: 100 % of 64.0 MiB\n"
    progress(10, 10)
    models._Progress(quiet=True)(size, size)
    assert capsys.readouterr().err == ""


def imported(home: Path) -> list[dict[str, Any]]:
    """The records of imports, oldest first."""
    log = max((home / "audit").glob("*/*.jsonl")).read_text()
    told = [opened_record(home, line) for line in log.splitlines()]
    return [entry for entry in told if entry["event"] == "model.imported"]


def test_the_log_says_it_first(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(home, "import", str(home.parent / "m.gguf"), "tiny", "--reason", "wanted", "--ticket", "T-1")
    run(home, "rm", "tiny")
    log = max((home / "audit").glob("*/*.jsonl")).read_text()
    told = [opened_record(home, line) for line in log.splitlines()]
    assert [entry["event"] for entry in told[-2:]] == ["model.imported", "model.removed"]
    assert told[-2]["change"]["object"] == "model:tiny:latest"
    assert (told[-2]["change"]["reason"], told[-2]["change"]["ticket"]) == ("wanted", "T-1")

    def refuse(*_: object) -> None:
        raise CommandFault("the audit log cannot be written")

    monkeypatch.setattr(models, "call_act", refuse)
    with pytest.raises(CommandFault):
        run(home, "import", str(home.parent / "m.gguf"), "tiny")
    assert list((home / "models" / "blobs").iterdir()) == []


def test_an_adapter_is_imported_shown_and_removed_before_its_base(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(home, "import", str(write_text_model(home.parent / "base.gguf")), "tiny:1")
    file = str(write_adapter(home.parent / "a.gguf"))
    assert run(home, "import", file, "sql:1", "--adapter-of", "tiny:1") == 0
    assert ", a LoRA adapter of tiny:1\n" in capsys.readouterr().out
    assert run(home, "show", "sql:1") == 0
    assert "\nadapter of: tiny:1\n" in (shown := capsys.readouterr().out)
    assert "\nrank: 4\nalpha: 16\n" in shown
    assert run(home, "import", file, "sql:1", "--adapter-of", "tiny:1", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["adapter_of"], told["adapter_digest"] != told["model_digest"]) == ("tiny:1", True)
    with pytest.raises(CommandFault, match="base model of sql:1") as refused:
        run(home, "rm", "tiny:1")
    assert refused.value.status == BAD_INPUT
    assert run(home, "rm", "sql:1") == 0
    assert run(home, "rm", "tiny:1") == 0


def test_a_file_that_is_no_adapter_is_refused(home: Path) -> None:
    base = str(write_text_model(home.parent / "base.gguf"))
    run(home, "import", base, "tiny:1")
    with pytest.raises(CommandFault, match="no adapter: import it as a model") as refused:
        run(home, "import", base, "sql:1", "--adapter-of", "tiny:1")
    assert refused.value.status == BAD_INPUT


def test_a_context_is_stretched_under_a_name_of_its_own(
    home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = str(write_text_model(tmp_path / "t.gguf"))
    run(home, "import", model, "tiny")
    capsys.readouterr()
    assert run(home, "import", model, "tiny:long", "--yarn", "4", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["context_length"], told["yarn_factor"]) == (4096, 4.0)
    assert run(home, "show", "tiny:long") == 0
    assert "context stretched by YaRN: 4 times 1024" in capsys.readouterr().out
    assert run(home, "import", model, "tiny:longer", "--yarn", "4", "--yarn-original", "512", "--json") == 0
    assert json.loads(capsys.readouterr().out)["context_length"] == 2048
    assert [entry["change"].get("details") for entry in imported(home)] == [None, {"yarn": "4:0"}, {"yarn": "4:512"}]
    assert run(home, "show", "tiny") == 0
    assert "YaRN" not in capsys.readouterr().out
    for more, why in (
        (("--yarn", "0.5"), "must be above 1 and at most 64"),
        (("--yarn", "1"), "must be above 1 and at most 64"),
        (("--yarn", "4", "--yarn-original", "4096"), "must be 64 to 1024, the file's own"),
        (("--yarn-original", "512"), "says what --yarn stretches"),
        (("--yarn", "2", "--adapter-of", "tiny"), "belongs to a model"),
    ):
        with pytest.raises(CommandFault, match=why) as refused:
            run(home, "import", model, "x", *more)
        assert refused.value.status == BAD_INPUT
    assert run(home, "list", "--json") == 0
    assert {each["name"] for each in json.loads(capsys.readouterr().out)} == {
        "tiny:latest",
        "tiny:long",
        "tiny:longer",
    }


def test_a_model_with_a_projector_sees(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, projector = write_text_model(tmp_path / "t.gguf"), write_projector(tmp_path / "p.gguf")
    assert run(home, "import", str(model), "seer", "--projector", str(projector), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert ("vision" in told["capabilities"], told["projector_digest"][:7]) == (True, "sha256:")
    assert run(home, "show", "seer") == 0
    assert "projector file: " in capsys.readouterr().out
    with pytest.raises(CommandFault, match="give one of them") as refused:
        run(home, "import", str(model), "x", "--projector", str(projector), "--adapter-of", "seer")
    assert refused.value.status == BAD_INPUT
