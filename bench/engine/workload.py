"""The loads: which prompts, of how many tokens, for how many tokens of answer. The same for every way in.

Rules:
 1. A prompt has exactly the tokens asked for, whether it is sent as text or as ids: it is made of words that are
    one token each, and counted again after it is made.
 2. Prompts come from a seed, another one each round. Within a round every way is asked the same; no prompt begins as
    another does, but where a load shares a prefix on purpose.
 3. Answers have a fixed length. Ways that can are told to ignore the end token; what the others produced is counted.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from policies.call import Sampling

Tokenize = Callable[[str], Sequence[int]]

# Common words; those that are not one token in the vocabulary at hand are left out.
_COMMON = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work government number night point home water room mother "
    "area money story fact month lot right study book eye job word business issue side kind head house service friend "
    "father power hour game line end member law car city community name president team minute idea body information "
    "back parent face level office door health person art war history party result change morning reason research girl "
    "guy moment air teacher force education river stone garden light paper music winter summer table window field road"
)
COMMON = tuple(_COMMON.split())
FEWEST_WORDS = 40
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 8, "maxLength": 64},
        "kind": {"enum": ["river", "mountain", "city", "forest"]},
        "numbers": {"type": "array", "items": {"type": "integer"}, "minItems": 40, "maxItems": 200},
    },
    "required": ["name", "kind", "numbers"],
    "additionalProperties": False,
}
"""Fixed names, an enumeration, and a list long enough that the answer does not end before its last token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One kind of work: `requests` at once on so many slots; `streams` of them under way at any time.

    `shared_tokens` of each prompt's `prompt_tokens` are the same for all; with `schema` the answer is held to SCHEMA.
    `threads`: run by the ways that have so many.
    """

    name: str
    streams: int
    requests: int
    prompt_tokens: int = 128
    output_tokens: int = 32
    temperature: float = 0.0
    shared_tokens: int = 0
    schema: bool = False
    threads: int = 1

    @property
    def expected_tokens(self) -> int:
        """Output tokens if no answer ends early."""
        return self.requests * self.output_tokens

    def sampling(self, seed: int) -> Sampling:
        """The same chain for all ways; greedy at temperature 0."""
        return Sampling(temperature=self.temperature, top_k=40, top_p=0.95, min_p=0.05, seed=seed)

    def small(self) -> "Load":
        """The same with short prompts and answers."""
        shared = min(self.shared_tokens, 96)
        return replace(self, prompt_tokens=shared + 32, shared_tokens=shared, output_tokens=8)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One request's prompt, as text and as ids, and its seed."""

    text: str
    ids: tuple[int, ...]
    seed: int


def one_token_words(tokenize: Tokenize) -> list[str]:
    """The words that are one token each behind a space. Raises ValueError where the vocabulary has too few."""
    words = [word for word in COMMON if len(tokenize(f" {word}")) == 1]
    if len(words) < FEWEST_WORDS:
        raise ValueError(f"only {len(words)} of {len(COMMON)} words are one token in this model's vocabulary")
    return words


class Prompts:
    """Makes prompts for one model's vocabulary; `tokenize` adds no BOS, `bos` are the ids put in front (or none)."""

    def __init__(self, tokenize: Tokenize, bos: Sequence[int] = ()) -> None:
        self._tokenize = tokenize
        self._bos = tuple(bos)
        self._words = one_token_words(tokenize)

    def of(self, load: Load, seed: int) -> list[Prompt]:
        """The load's prompts for one round. Raises ValueError when one has not the tokens asked for."""
        source = random.Random(f"{load.name} {load.streams} {seed}")
        shared = self._some(source, load.shared_tokens - len(self._bos)) if load.shared_tokens else ""
        own_tokens = load.prompt_tokens - (load.shared_tokens or len(self._bos))
        firsts = source.sample(self._words, min(load.requests, len(self._words)))
        return [
            self._prompt(f"{shared} {firsts[number % len(firsts)]}" + self._some(source, own_tokens - 1), load, source)
            for number in range(load.requests)
        ]

    def _some(self, source: random.Random, count: int) -> str:
        return "".join(f" {word}" for word in source.choices(self._words, k=count))

    def _prompt(self, text: str, load: Load, source: random.Random) -> Prompt:
        ids = (*self._bos, *self._tokenize(text))
        if len(ids) != load.prompt_tokens:
            raise ValueError(f"a prompt came out with {len(ids)} tokens and not {load.prompt_tokens}")
        return Prompt(text, ids, source.randrange(1, 2**31))


STREAMS = (1, 2, 4, 8, 16)
SHARED, ALONE, SCHEMA_LOAD, TWO_THREADS = (
    "shared prefix",
    "shared prefix, one at a time",
    "JSON schema",
    "greedy, 2 threads",
)
GREEDY, SAMPLED = "greedy", "temperature 0.8"
SUSTAINED = "greedy, a next for each that ends"
"""Prompts come one by one beside those who generate, as on a busy server; in the other loads all come at once."""


def full() -> list[Load]:
    """All loads of the full size."""
    shared = Load(name=SHARED, streams=8, requests=8, prompt_tokens=544, shared_tokens=512)
    return [
        *(_streams(GREEDY, 0.0, count) for count in STREAMS),
        *(_streams(SAMPLED, 0.8, count) for count in STREAMS),
        Load(name=SUSTAINED, streams=16, requests=48, output_tokens=48),
        shared,
        replace(shared, name=ALONE, streams=1),
        Load(name=SCHEMA_LOAD, streams=8, requests=8, temperature=0.8, schema=True, output_tokens=48),
        *(_streams(TWO_THREADS, 0.0, count, threads=2) for count in (1, 4, 16)),
    ]


def small() -> list[Load]:
    """Two loads of a second or so each, for trying it."""
    made = [Load(name=GREEDY, streams=2, requests=2), Load(name=SHARED, streams=4, requests=4, shared_tokens=96)]
    return [each.small() for each in made]


def _streams(name: str, temperature: float, count: int, threads: int = 1) -> Load:
    return Load(
        name=name,
        streams=count,
        requests=2 if count == 1 else count,  # one answer alone is too short to time
        temperature=temperature,
        output_tokens=64 if count <= 4 else 32,
        threads=threads,
    )


def request_options(load: Load, seed: int) -> dict[str, Any]:
    """The load's sampling in Ollama's names."""
    sampling = load.sampling(seed)
    return {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "seed": sampling.seed,
        "repeat_penalty": 1.0,
        "num_predict": load.output_tokens,
    }
