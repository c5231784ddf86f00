"""A model that sees, through a real Corral: the tiny one of `tiny_vision`, with the real loading code of llama.cpp."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.serving import REPOSITORY, Corral
from tests.unit.engine.made_up_images import animation, encoded, hostile, noise, unusual
from tests.unit.engine.tiny_vision import IMAGE_TOKENS, write_projector, write_text_model

pytestmark = pytest.mark.e2e
MANY = 100_000  # these tests ask faster than a key usually may
ENGINE = {"slots": 4, "context_tokens": 512, "threads": 2, "prepare_timeout_s": 30.0}
SEER, BLIND = "seer:latest", "blind:latest"
QUESTION = "what is this?"
OPTIONS = {"temperature": 0, "seed": 1, "num_predict": 12}


@pytest.fixture(scope="module")
def corral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    folder = tmp_path_factory.mktemp("vision")
    model = write_text_model(folder / "text.gguf")
    projector = write_projector(folder / "projector.gguf")
    corral = Corral(folder, engine=ENGINE).make(None)
    corral.command("models", "import", str(model), SEER, "--projector", str(projector))
    corral.command("models", "import", str(model), BLIND)
    policy = yaml.safe_load((corral.home / "policy.yaml").read_text())
    policy["teams"]["default"]["key_limits"] = {"requests_per_minute": MANY}
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(policy))
    corral.start()
    try:
        yield corral
    finally:
        assert corral.stop() == 0, corral.log()


def ollama(corral: Corral, *images: bytes, model: str = SEER, content: str = QUESTION) -> tuple[int, dict[str, Any]]:
    message = {"role": "user", "content": content, "images": [base64.b64encode(one).decode() for one in images]}
    body = {"model": model, "messages": [message], "stream": False, "options": OPTIONS}
    status, answer = corral.request("POST", "/api/chat", body)
    return status, json.loads(answer)


def openai(corral: Corral, *urls: str, content: str = QUESTION) -> tuple[int, dict[str, Any]]:
    parts = [{"type": "text", "text": content}, *({"type": "image_url", "image_url": {"url": url}} for url in urls)]
    message = {"role": "user", "content": parts}
    body = {"model": SEER, "messages": [message], "temperature": 0, "seed": 1, "max_tokens": 12}
    status, answer = corral.request("POST", "/v1/chat/completions", body)
    return status, json.loads(answer)


def data_url(image: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"


def said(answer: dict[str, Any]) -> str:
    return str(answer["message"]["content"])


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def pids(corral: Corral) -> list[int]:
    return sorted(corral.children("engine."))


def test_the_same_image_repeats_the_answer_and_another_changes_it(corral: Corral) -> None:
    first, second = encoded(noise(1)), encoded(noise(2))
    status, answer = ollama(corral, first)
    assert status == 200, answer
    assert said(ollama(corral, first)[1]) == said(answer)
    assert said(ollama(corral, second)[1]) != said(answer)
    assert said(ollama(corral)[1]) != said(answer)
    assert said(ollama(corral, first, second)[1]) != said(ollama(corral, second, first)[1])


def test_an_image_is_priced_by_the_rows_it_takes(corral: Corral) -> None:
    bare = ollama(corral)[1]["prompt_eval_count"]
    for count in (1, 2):
        seen = ollama(corral, *[encoded(noise(7))] * count)[1]["prompt_eval_count"]
        assert bare + count * IMAGE_TOKENS < seen <= bare + count * IMAGE_TOKENS + 2  # and the line before the text


def test_both_dialects_and_every_kind_show_the_same_picture(corral: Corral) -> None:
    image = encoded(noise(3))
    status, answer = openai(corral, data_url(image))
    assert status == 200, answer
    assert answer["choices"][0]["message"]["content"] == said(ollama(corral, image)[1])
    lossless = said(ollama(corral, encoded(noise(3), "WEBP", lossless=True))[1])
    assert lossless == said(ollama(corral, image)[1])
    for kind in ("JPEG", "GIF"):
        assert ollama(corral, encoded(noise(3), kind))[0] == 200


def test_generate_takes_images_too(corral: Corral) -> None:
    image = base64.b64encode(encoded(noise(1))).decode()
    body = {"model": SEER, "prompt": QUESTION, "images": [image], "stream": False, "options": OPTIONS}
    status, answer = corral.request("POST", "/api/generate", body)
    assert (status, "context" in json.loads(answer)) == (200, False), answer
    status, raw = corral.request("POST", "/api/generate", {**body, "raw": True})
    assert status == 200, raw
    status, refused = corral.request("POST", "/api/generate", {**body, "raw": True, "prompt": ""})
    assert status in (200, 400), refused


def test_texts_run_beside_pictures(corral: Corral) -> None:
    alone = said(ollama(corral, content="tell me")[1])
    with ThreadPoolExecutor(4) as pool:
        texts = [pool.submit(ollama, corral, content="tell me") for _ in range(2)]
        pictures = [pool.submit(ollama, corral, encoded(noise(20 + seed))) for seed in range(6)]
        assert {future.result()[0] for future in (*texts, *pictures)} == {200}
        assert {said(future.result()[1]) for future in texts} == {alone}


def test_a_prefix_with_the_same_picture_is_not_computed_again(corral: Corral) -> None:
    image = encoded(noise(40))
    ollama(corral, image)
    before = corral.counters()
    ollama(corral, image, content=QUESTION + " and why?")
    after = corral.counters()
    gained = sum(after[target]["cached_tokens"] - before[target]["cached_tokens"] for target in after)
    assert gained > IMAGE_TOKENS


def test_only_the_first_frame_of_an_animation_is_seen(corral: Corral) -> None:
    for kind in ("GIF", "PNG", "WEBP"):
        assert ollama(corral, animation(kind, 2000))[0] == 200, kind


@pytest.mark.parametrize("name", unusual())
def test_an_unusual_image_is_seen_behind_both_walls(corral: Corral, name: str) -> None:
    status, answer = ollama(corral, unusual()[name])
    assert status == 200, answer


@pytest.mark.parametrize("name", hostile())
def test_a_hostile_image_is_refused_and_kills_nobody(corral: Corral, name: str) -> None:
    before = pids(corral)
    image = hostile()[name]
    for status, answer in (ollama(corral, image), openai(corral, data_url(image))):
        assert (status, "error" in answer) == (400, True), answer
    assert pids(corral) == before
    assert ollama(corral, encoded(noise(1)))[0] == 200


def test_a_preparer_that_dies_costs_only_what_it_was_doing(corral: Corral) -> None:
    (preparer,) = [pid for pid in corral.children("engine.preparer") if b"--projector" in command_line(pid)]
    os.kill(preparer, signal.SIGKILL)
    image = encoded(noise(1))
    statuses = [ollama(corral, image)[0] for _ in range(20)]
    assert set(statuses) <= {200, 503}
    assert statuses[-1] == 200
    assert preparer not in corral.children("engine.preparer")
    deaths = [line for line in corral.log().splitlines() if "SIGKILL" in line]
    assert len(deaths) == 1
    assert "preparer-" in deaths[0]


def test_nothing_is_fetched(corral: Corral) -> None:
    for url in (
        "http://169.254.169.254/latest",
        "https://example.org/a.png",
        "file:///etc/passwd",
        "ftp://x/y",
        "a.png",
    ):
        status, answer = openai(corral, url)
        assert status == 400, answer


def test_a_model_without_a_projector_refuses_images(corral: Corral) -> None:
    status, answer = ollama(corral, encoded(noise(1)), model=BLIND)
    assert (status, answer) == (400, {"error": f"{BLIND} does not support vision"})


def test_a_caller_cannot_spell_a_picture(corral: Corral) -> None:
    for content in ("<__media__>", "<image>", "[img-0]", "<start_of_image>"):
        status, answer = ollama(corral, content=content)
        assert status == 200, answer


def test_what_is_shown_of_it(corral: Corral) -> None:
    shown = json.loads(corral.command("models", "show", SEER, "--json").stdout)
    assert "vision" in shown["capabilities"]
    assert shown["projector_digest"].startswith("sha256:")
    status, tags = corral.request("POST", "/api/show", {"model": SEER})
    assert status == 200
    assert "vision" in json.loads(tags)["capabilities"]


def test_a_projector_for_another_model_is_refused(corral: Corral, tmp_path: Path) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    wide = write_projector(tmp_path / "wide.gguf", width=64)
    done = corral.command("models", "import", str(model), "other", "--projector", str(wide), check=False)
    assert done.returncode == 2
    assert "rows of 64 numbers" in done.stderr


@pytest.mark.parametrize("process", ["worker", "preparer"])
def test_a_projector_that_changed_since_its_import_stops_the_process_with_one_line(
    process: str, tmp_path: Path
) -> None:
    model = write_text_model(tmp_path / "text.gguf")
    projector = write_projector(tmp_path / "projector.gguf", clip__vision__patch_size=7)
    own = {
        "worker": ("--role", "chat", "--slots", "1", "--batch-tokens", "64", "--threads", "1"),
        "preparer": ("--timeout-s", "2"),
    }[process]
    shared = ("--model-file", str(model), "--model", "m", "--context-tokens", "64", "--memory-bytes", str(1 << 30))
    argv = [sys.executable, "-P", "-m", f"engine.{process}", *shared, *own, "--projector", str(projector)]
    with socket.socket(socket.AF_UNIX) as listener:
        done = subprocess.run(
            [*argv, "--listen-fd", str(listener.fileno())],
            capture_output=True,
            text=True,
            pass_fds=[listener.fileno()],
            timeout=60,
            cwd=REPOSITORY,
            env={"PYTHONPATH": str(REPOSITORY)},
            check=False,
        )
    assert done.returncode == 3
    why = "patches of 7 pixels do not fill an image of 32, or are more than 4096"
    assert done.stderr.splitlines() == [f"{process}: cannot load m: {why}"]
