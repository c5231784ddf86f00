import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import build_report
from engine.death import CANNOT_LOAD

REPOSITORY = Path(__file__).resolve().parents[3]


def test_the_report_of_the_installed_llama_cpp(capsys: pytest.CaptureFixture[str]) -> None:
    assert build_report.main() == 0
    report = json.loads(capsys.readouterr().out)
    assert report["system_info"].startswith("CPU : ")
    [cpu] = [device for device in report["devices"] if device["type"] == "cpu"]
    assert (cpu["name"], cpu["backend"]) == ("CPU", "CPU")
    assert 0 < cpu["free_bytes"] <= cpu["total_bytes"]


def test_a_llama_cpp_that_cannot_be_loaded_is_one_line() -> None:
    code = "import sys; sys.modules['llama_cpp'] = None\nfrom engine.build_report import main\nsys.exit(main())"
    ended = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert ended.returncode == CANNOT_LOAD
    assert ended.stdout == ""
    assert ended.stderr.startswith("llama.cpp cannot be loaded: ")
    assert ended.stderr.count("\n") == 1
