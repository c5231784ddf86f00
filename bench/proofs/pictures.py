"""Images that mean harm, and pictures seen before: `make prove P=pictures`.

A Corral with a tiny model that sees (made-up weights, real loading code) is sent images that were changed at random
places. Demands: every answer is 200 or 400, in both dialects; no process of the engine and no gateway ends; and a
picture that was seen after the same beginning is not computed again, by the worker's own count of prompt rows.
"""

import base64
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.kills.tireless import POLICY
from fuzz.mutation import mutate
from tests.e2e.serving import Corral
from tests.unit.engine.made_up_images import encoded, noise, unusual
from tests.unit.engine.tiny_vision import IMAGE_TOKENS, write_projector, write_text_model

MODEL = "seer:latest"
ENGINE = {"slots": 4, "context_tokens": 512, "threads": 1, "prepare_timeout_s": 30.0}
KINDS = ("PNG", "JPEG", "GIF", "WEBP")


@dataclass(frozen=True, slots=True)
class Size:
    """How many changed images are sent, and how many pictures are shown twice."""

    images: int
    twice: int


FULL = Size(images=2000, twice=50)
SMALL = Size(images=60, twice=3)


def prove(size: Size = FULL) -> dict[str, Any]:
    """Run it. Raises AssertionError when a demand is not met."""
    with tempfile.TemporaryDirectory(prefix="corral-") as folder, _seeing(Path(folder)) as corral:
        processes = sorted(corral.children("-m"))
        answers = Counter(_ask(corral, image, number)[0] for number, image in enumerate(_changed(size.images)))
        _demand(set(answers) <= {200, 400}, f"answers were {dict(answers)}")
        _demand(sorted(corral.children("-m")) == processes, "a process ended")
        first, again = zip(*(_shown_twice(corral, seed) for seed in range(size.twice)), strict=True)
    _demand(min(rows for rows, _ in first) > IMAGE_TOKENS, "a new picture was not computed")
    _demand(max(rows for rows, _ in again) < IMAGE_TOKENS, "a picture that was seen before was computed again")
    return {
        "changed_images": size.images,
        "answers": {str(status): count for status, count in sorted(answers.items())},
        "shown_twice": size.twice,
        "rows_first": median(rows for rows, _ in first),
        "rows_again": median(rows for rows, _ in again),
        "ms_first": round(1000 * median(seconds for _, seconds in first), 1),
        "ms_again": round(1000 * median(seconds for _, seconds in again), 1),
    }


@contextmanager
def _seeing(folder: Path) -> Iterator[Corral]:
    corral = Corral(folder, engine=ENGINE).make(None)
    (corral.home / "policy.yaml").write_text(POLICY)
    model, projector = write_text_model(folder / "text.gguf"), write_projector(folder / "projector.gguf")
    corral.command("models", "import", str(model), MODEL, "--projector", str(projector))
    corral.start()
    try:
        yield corral
    finally:
        status = corral.stop()
    _demand(status == 0, corral.log())


def _changed(count: int) -> Iterator[bytes]:
    draw = random.Random("pictures")
    whole = [*(encoded(noise(1, 16, 16), kind) for kind in KINDS), *unusual().values()]
    for _ in range(count):
        yield mutate(draw.choice(whole), draw)


def _ask(corral: Corral, image: bytes, number: int) -> tuple[int, dict[str, Any]]:
    """One image, in the two dialects by turns."""
    text = base64.b64encode(image).decode()
    if number % 2:
        parts = [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}}]
        body = {"model": MODEL, "messages": [{"role": "user", "content": parts}], "max_tokens": 1}
        status, answer = corral.request("POST", "/v1/chat/completions", body)
    else:
        message = {"role": "user", "content": "what?", "images": [text]}
        body = {"model": MODEL, "messages": [message], "stream": False, "options": {"num_predict": 1}}
        status, answer = corral.request("POST", "/api/chat", body)
    return status, json.loads(answer)


def _shown_twice(corral: Corral, seed: int) -> list[tuple[int, float]]:
    """Prompt rows computed and seconds taken, the first time and the second."""
    image = encoded(noise(1000 + seed))
    shown = []
    for _ in range(2):
        before, began_s = _prefilled(corral), time.monotonic()
        status, answer = _ask(corral, image, 0)
        took_s = time.monotonic() - began_s
        _demand(status == 200, f"{status}: {answer}")
        shown.append((_prefilled(corral) - before, took_s))
    return shown


def _prefilled(corral: Corral) -> int:
    return int(sum(totals["prefill_tokens"] for totals in corral.counters().values()))


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise AssertionError(what)
