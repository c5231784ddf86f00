"""A report becomes text: all cells, bounds and teams are in it."""

from typing import Any

from bench.pool_admission.document import returns_section, section

FIGURE = {"value": 0.96, "low": 0.93, "high": 0.98, "n": 210}


def cell(queue: str, load: float) -> dict[str, Any]:
    waits = {
        "n": 200, "mean_predicted_s": 1.0, "mean_actual_s": None, "bias": FIGURE, "bias_of_served": FIGURE,
        "coverage": FIGURE, "p90_coverage": FIGURE,
    }  # fmt: skip
    return {
        "queue": queue,
        "load": load,
        "in_time": {"light": FIGURE, "flood": FIGURE, "prompt": FIGURE},
        "wasted": FIGURE,
        "refusals": {"late": FIGURE, "share_of_asked": {"prompt": 0.05}},
        "utilisation": 0.9,
        "waits": {"all": waits, "prompt": waits},
        "decisions_us": {"p99": 180.0},
        "cpu_share": {"gateway": 0.04},
        "first_token_after_slot_s": {"prompt": {"p50": 0.2, "p95": 0.4}},
    }


def test_everything_is_told() -> None:
    report = {
        "small": False,
        "steal_percent": 0.1,
        "slots": 4,
        "model": "a model",
        "light_load": 0.3,
        "capacity_per_s": {"light": 5.0, "flood": 2.0},
        "capacity_drift": [0.97, 1.04],
        "promise_s": 2.5,
        "releases": 7.3,
        "cells": [cell("fifo", 1.2), cell("corral", 1.2)],
        "bounds": [{"bound": "light in time", "where": "1.2", "figure": FIGURE, "holds": False}],
        "third_team": [{"lends": True, **cell("corral", 1.2)}, {"lends": False, **cell("corral", 1.2)}],
    }
    text = section(report, {"cpu": "a processor", "cores": 2})
    assert "(full size) on a processor, 2 cores" in text
    assert "when it was 0.97 to 1.04 of that" in text
    assert "| 1.2 | fifo | 96.0 % (93 to 98, n=210)" in text
    assert "| light in time | 1.2 | 96.0 % (93 to 98, n=210) | no |" in text
    assert "| yes | 96.0 % (93 to 98, n=210) | 0.20 / 0.40 | 200 | 5.0 % |" in text
    assert "at most 180 µs" in text
    assert "![Predicted against actual waits](admission-figures/predicted-and-actual.svg)" in text


def test_those_who_come_back_are_told_apart() -> None:
    text = returns_section({"loads": [1.2, 2.0], "first_try_then": FIGURE}, {"cpu": "a processor", "cores": 2})
    assert "96.0 % (93 to 98, n=210) were served at their first try" in text
