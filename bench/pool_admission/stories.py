"""What became of each request: the client's side and the queue's tape joined by the request's id.

A caller that goes away while it waits was never told an id: its ticket has a story without a client's times, which
is all that is needed of it (it had no answer).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from bench.pool_admission.load import Answered

Line = dict[str, Any]


@dataclass(slots=True, kw_only=True)
class Story:
    """One ticket. Moments on CLOCK_MONOTONIC, None for what did not happen; `wait_s` and its like as predicted.

    `answer` is the client's side. `waited`: it did not get a slot at once, and was not refused at once.
    """

    team: str
    arrived_s: float
    prompt_tokens: int
    promise_s: float | None
    answer: Answered | None = None
    waited: bool = False
    wait_s: float = 0.0
    likely_s: float = 0.0
    p90_s: float = 0.0
    prefill_s: float = 0.0
    dispatched_s: float | None = None
    began_s: float | None = None
    refused_s: float | None = None
    retry_after_s: float | None = None
    reason: str = ""
    ended_s: float | None = None
    left_s: float | None = None
    output_tokens: int = 0
    cached_tokens: int = 0

    @property
    def actual_wait_s(self) -> float | None:
        """From its arrival to its slot."""
        return None if self.dispatched_s is None else self.dispatched_s - self.arrived_s

    @property
    def in_line_s(self) -> float | None:
        """From its arrival to its slot, or to its late refusal."""
        over_s = self.dispatched_s if self.dispatched_s is not None else self.refused_s
        return None if over_s is None else over_s - self.arrived_s

    @property
    def refused_late(self) -> bool:
        """Whether it was turned away after it had been let in to wait."""
        return self.refused_s is not None and self.waited

    def slot_s(self, from_s: float, until_s: float) -> float:
        """The part of its slot time between two moments."""
        if self.dispatched_s is None:
            return 0.0
        over_s = min(each for each in (self.ended_s, self.left_s, until_s) if each is not None)
        return max(0.0, min(over_s, until_s) - max(self.dispatched_s, from_s))

    def in_time(self, until_s: float) -> bool | None:
        """Whether the first token reached its client within the promise; None while that is open at `until_s`."""
        if self.promise_s is None:
            return True
        first_token_s = self.answer.first_token_s if self.answer else None
        if first_token_s is not None:
            return first_token_s <= self.promise_s
        return False if until_s - self.arrived_s > self.promise_s else None


def stories(tape: Iterable[Line], answers: Iterable[Answered]) -> list[Story]:
    """One for each ticket that arrived on the tape, in order."""
    by_request = {answer.request: answer for answer in answers if answer.request}
    found: dict[int, Story] = {}
    for line in tape:
        if line["kind"] == "arrived":
            found[line["ticket"]] = Story(
                team=line["team"],
                arrived_s=line["at_s"],
                prompt_tokens=line["prompt"],
                promise_s=line["promise_s"],
                answer=by_request.get(line["request"]),
            )
        elif line["ticket"] in found:
            _note(found[line["ticket"]], line)
    return list(found.values())


def _note(story: Story, line: Line) -> None:
    match line["kind"]:
        case "waits":
            story.waited = True
            _predicted(story, line)
        case "dispatch":
            story.dispatched_s = line["at_s"]
        case "began":
            story.began_s = line["at_s"]
        case "ended":
            story.ended_s = line["at_s"]
            story.output_tokens, story.cached_tokens = line["output"], line["cached"]
        case "left":
            story.left_s = line["at_s"]
        case "refuse":
            story.refused_s, story.reason, story.retry_after_s = line["at_s"], line["reason"], line["retry_after_s"]
            if not story.waited:  # what was said when it came is what is judged
                _predicted(story, line)


def _predicted(story: Story, line: Line) -> None:
    story.wait_s, story.likely_s = line["wait_s"], line["likely_s"]
    story.p90_s, story.prefill_s = line["p90_s"], line["prefill_s"]
