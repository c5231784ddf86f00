"""`make prove`: every proof can be run by name, and a wrong name is told the right ones."""

import importlib
import inspect

import pytest

from bench import prove


@pytest.mark.parametrize("name", prove.names())
def test_a_proof_says_what_it_proves_and_returns_figures(name: str) -> None:
    module = importlib.import_module(f"bench.proofs.{name}")
    assert (module.__doc__ or "").strip()
    asked = inspect.signature(module.prove).parameters.values()
    assert all(each.default is not inspect.Parameter.empty for each in asked)


def test_an_unknown_name_is_told_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    assert prove.main(["nothing"]) == 2
    said = capsys.readouterr().err
    assert "no proof is called nothing" in said
    assert "limits" in said


def test_a_bound_that_does_not_hold_is_status_1_and_leaves_no_figures(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object, capsys: pytest.CaptureFixture[str]
) -> None:
    from bench.proofs import limits  # noqa: PLC0415 (replaced below)

    def broken() -> dict[str, object]:
        raise AssertionError("1 is more than 0")

    monkeypatch.setattr(limits, "prove", broken)
    monkeypatch.setattr(prove, "RESULTS", tmp_path)
    assert prove.main(["limits"]) == 1
    assert "does not hold: 1 is more than 0" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())  # type: ignore[attr-defined]
