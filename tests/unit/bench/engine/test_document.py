"""The section that is written: every row and every bound in it, and every way that did not run with its reason."""

from pathlib import Path

from bench.engine import document
from bench.engine.board import Found
from bench.engine.report import report
from bench.engine.sample import sample_of
from bench.engine.way import Setting
from bench.engine.workload import GREEDY, Load
from tests.unit.bench.engine.test_figures import STEPS, made

MACHINE = {"cpu": "Example CPU", "cores": 2, "commit": "abc"}
MEMORY = [
    {
        "format": name,
        "file_bytes": size,
        "loaded_bytes": size,
        "mapped_bytes": size // 2,
        "rss_bytes": 2 * size,
        "pss_bytes": 2 * size,
    }
    for name, size in (("F16", 270_000_000), ("Q4_0", 92_000_000))
]


def told() -> dict[str, object]:
    """A report of three ways, one of which did not run."""
    short = sample_of("gateway, everything on", Load(name=GREEDY, streams=2, requests=2), 0, 2.0, [])
    found = Found(
        samples=[made("loop in process", 0, 8.0, STEPS), made("llama-server", 0, 10.0), short],
        missing={"raw C (llama-batched-bench)": "llama-batched-bench is not built: make peers"},
        not_offered={("llama_cpp.server", "JSON schema"): "no schema in completions"},
        rounds_s=[1.0],
    )
    setting = Setting(model_file=Path("/m.gguf"), folder=Path("/nowhere"))
    made_report = report(found, setting, MEMORY, small=True)
    return made_report | {"steal_percent": 0.1, "load_average": [0.5, 1.5]}


def test_every_row_stands_in_the_table() -> None:
    text = document.section(told(), MACHINE)
    assert (
        "| greedy | 2 | loop in process | 1.0 (1.0 to 1.0) | 1.250 | - | 2000 | 1000.0 / 4000.0 | - | - | 75.0 % |"
        in text
    )
    assert "| greedy | 2 | llama-server | 0.8 (0.8 to 0.8) | - | - |" in text
    assert "Example CPU, 2 cores" in text
    assert "1 rounds" in text


def test_answers_that_ended_early_are_seen_in_the_work() -> None:
    text = document.section(told(), MACHINE)
    (row,) = [line for line in text.splitlines() if "gateway, everything on |" in line]
    assert row.endswith("| 0 of 64 |")


def test_what_did_not_run_is_said_with_the_reason() -> None:
    text = document.section(told(), MACHINE)
    assert "- raw C (llama-batched-bench): llama-batched-bench is not built: make peers" in text
    assert "- llama_cpp.server has no JSON schema: no schema in completions" in text


def test_bounds_and_memory_stand_in_it() -> None:
    text = document.section(told(), MACHINE)
    assert "| loop in process / llama-server | greedy, 2 | at least 1 | 1.250 | yes |" in text
    assert "| loop in process / raw C, prompts too | greedy, 2 | at least 0.97 | - | open |" in text
    assert "| Q4_0 | 92 | 92 | 46 | 184 / 184 |" in text
    assert document.memory([]) == ""
    assert document.missing({"missing": {}, "not_offered": []}) == ""


def test_a_figure_with_an_interval() -> None:
    assert document.figure({"value": 1.08, "low": 1.02, "high": 1.11, "n": 3}) == "1.080 (1.020 to 1.110)"
    assert document.figure(None) == "-"
