from engine.prefix_scope import prefix_scope
from engine.preparing.prompt import BLOCK_TOKENS, block_hashes


def test_the_bare_model_has_the_callers_scope() -> None:
    assert prefix_scope("team:a", "") == "team:a"


def test_adapters_and_teams_never_share_a_scope() -> None:
    scopes = [prefix_scope(team, adapter) for team in ("team:a", "team:b") for adapter in ("", "x:1", "y:1")]
    assert len(set(scopes)) == len(scopes)


def test_the_queue_finds_no_block_of_another_adapter() -> None:
    ids = range(3 * BLOCK_TOKENS)
    hashes = [set(block_hashes(ids, prefix_scope("team:a", adapter))) for adapter in ("", "x:1", "y:1")]
    assert all(len(each) == 3 for each in hashes)
    assert len(set.union(*hashes)) == 9
