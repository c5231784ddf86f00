"""The proof of what sealing costs, in its small size: the records come back, all of them."""

from bench.proofs.sealing import Size, measure


def test_every_record_comes_back() -> None:
    assert measure(Size(persons=20, rounds=2))["records"] == 80
