"""A team's second request with the same prefix is faster, and another team cannot tell from the time that it was asked.

Two teams with keys of their own at a real gateway with one worker. Each round has a prompt that nobody asked before;
in random order: red asks it and then blue does, and blue asks one of its own after red asked something unrelated.
Then red asks its own again. Of each request the time to its first token is taken at the client, and the rows that the
worker computed for it are counted. The bounds: rows of a prompt that another team asked are those of one that nobody
asked, all of them but for a first word or two that blue itself asked before; the ratio of their times is 1 within
`MOST_APART`, with its whole 95 % interval (t over the logarithms, paired by round); and red's second request takes at
most `OWN_SHARE` of the time.
"""

import json
import math
import random
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bench.pool_admission.faster_model import MODEL_NAME, requantised
from tests.e2e.serving import MODEL, Corral

MODEL_FILE = Path(__file__).resolve().parents[2] / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"
WORDS = (
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "on", "be", "by", "at", "from",
    "this", "are", "or", "his", "an", "they", "which", "you",
)  # fmt: skip
PROMPT_WORDS, TAIL_WORDS = 240, 6  # a word is a token, so all prompts have as many rows
ROUNDS = 60
MOST_APART = 0.10
OWN_SHARE = 0.6
T_95 = 2.0  # Student's t for 60 rounds


class Asked(NamedTuple):
    """One request: seconds to its first token, and the rows that were computed for it."""

    first_s: float
    rows: int


class Round(NamedTuple):
    """Blue's after red asked the same, blue's after red asked something else, and red's second."""

    asked_by_another: Asked
    asked_by_nobody: Asked
    asked_by_own: Asked


class TwoTeams:
    """A served Corral with the teams red and blue."""

    def __init__(self, folder: Path, model_file: Path) -> None:
        engine = {"slots": 8, "context_tokens": 512, "embeddings": False, "threads": 1}
        self._corral = Corral(folder, engine=engine).make(model_file)
        path = self._corral.home / "policy.yaml"
        policy = yaml.safe_load(path.read_text(encoding="utf-8"))
        policy["teams"] |= {"red": policy["teams"]["default"], "blue": policy["teams"]["default"]}
        path.write_text(yaml.safe_dump(policy), encoding="utf-8")
        self._keys = {team: self._new_key(team) for team in ("red", "blue")}

    def __enter__(self) -> "TwoTeams":
        self._corral.start()
        return self

    def __exit__(self, *_fault: object) -> None:
        self._corral.stop()

    def ask(self, team: str, prompt: str) -> Asked:
        """One token for this prompt."""
        body = {"model": MODEL, "prompt": prompt, "raw": True, "options": {"temperature": 0, "num_predict": 1}}
        before = self._rows()
        connection = self._corral.connect()
        connection.connect()
        try:
            began_s = time.perf_counter()
            headers = {"Authorization": f"Bearer {self._keys[team]}"}
            connection.request("POST", "/api/generate", json.dumps(body), headers)
            response = connection.getresponse()
            response.readline()
            first_s = time.perf_counter() - began_s
            assert response.status == 200, response.read()
            response.read()
        finally:
            connection.close()
        return Asked(first_s, self._rows() - before)

    def _rows(self) -> int:
        return int(sum(each["prefill_tokens"] for each in self._corral.counters().values()))

    def _new_key(self, team: str) -> str:
        made = self._corral.command("keys", "create", "--team", team, "--json")
        return str(json.loads(made.stdout)["key"])


def prove(rounds: int = ROUNDS, model_file: Path = MODEL_FILE) -> dict[str, Any]:
    """Run it. Raises AssertionError when a bound does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), requantised(model_file, Path(folder)), rounds)
    other = ratio([(each.asked_by_another.first_s, each.asked_by_nobody.first_s) for each in found])
    own = ratio([(each.asked_by_own.first_s, each.asked_by_another.first_s) for each in found])
    assert abs(math.log(other["low"])) <= math.log1p(MOST_APART) >= math.log(other["high"]), other
    assert own["high"] <= OWN_SHARE, own
    return {
        "model": MODEL_NAME, "rounds": rounds,
        "rows": {name: sorted({getattr(each, name).rows for each in found}) for name in Round._fields},
        "first_token_ms": {
            name: round(statistics.median(getattr(each, name).first_s for each in found) * 1e3, 1)
            for name in Round._fields
        },
        "another_to_nobody": other, "own_to_first": own, "bounds": {"apart": MOST_APART, "own": OWN_SHARE},
    }  # fmt: skip


def measure(folder: Path, model_file: Path, rounds: int) -> list[Round]:
    """The rounds. Raises AssertionError when rows tell one team what another asked, or none are saved to one's own."""
    draw = random.Random(1)
    with TwoTeams(folder, model_file) as teams:
        teams.ask("red", _prompt(draw))
        teams.ask("blue", _prompt(draw))
        found = [_round(teams, draw) for _ in range(rounds)]
    for each in found:
        assert min(each.asked_by_another.rows, each.asked_by_nobody.rows) >= PROMPT_WORDS, each
        assert each.asked_by_own.rows <= TAIL_WORDS + 1, each
    return found


def ratio(pairs: list[tuple[float, float]]) -> dict[str, float]:
    """The geometric mean of the ratios and its 95 % interval."""
    logs = [math.log(left / right) for left, right in pairs]
    mean = statistics.fmean(logs)
    half = T_95 * statistics.stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
    return {"ratio": round(math.exp(mean), 4), "low": round(math.exp(mean - half), 4),
            "high": round(math.exp(min(mean + half, 700)), 4)}  # fmt: skip


def _round(teams: TwoTeams, draw: random.Random) -> Round:
    shared, fresh, unrelated = _prompt(draw), _prompt(draw), _prompt(draw)
    asked: dict[str, Asked] = {}
    for case in draw.sample(("another", "nobody"), 2):
        if case == "another":
            teams.ask("red", shared + _tail(draw))
            asked[case] = teams.ask("blue", shared + _tail(draw))
        else:
            teams.ask("red", unrelated + _tail(draw))
            asked[case] = teams.ask("blue", fresh + _tail(draw))
    return Round(asked["another"], asked["nobody"], teams.ask("red", shared + _tail(draw)))


def _prompt(draw: random.Random) -> str:
    return " " + " ".join(draw.choices(WORDS, k=PROMPT_WORDS))


def _tail(draw: random.Random) -> str:
    return " " + " ".join(draw.choices(WORDS, k=TAIL_WORDS))
