"""The last hour summed up: a table of a dozen rows for who cannot see the charts, and the figures of the last minute.

Rules: a row's queue is the most at any look, its tokens the mean, its waits the mean over the requests (not over the
steps), its refusals the sum. What no step of a row knows, the row does not either. The newest row comes first, and is
full.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from policies.console.last_hour import HourView

STEPS_A_ROW = 30
"""Five minutes."""
STEPS_A_MINUTE = 6


class HourRow(Struct, frozen=True, kw_only=True):
    """A stretch of the hour. `age_s` is how long ago it began; the rest as in `HourView`."""

    age_s: float
    waiting: int | None
    running: int | None
    slots: int | None
    prompt_tokens_per_s: float
    output_tokens_per_s: float
    foretold_s: float | None
    waited_s: float | None
    refusals: int


def hour_rows(view: HourView) -> tuple[HourRow, ...]:
    """Rows of STEPS_A_ROW steps; the oldest may be shorter."""
    ends = range(len(view.ages_s), 0, -STEPS_A_ROW)
    return tuple(_row(view, slice(max(0, end - STEPS_A_ROW), end)) for end in ends)


def last_minute(values: Sequence[float]) -> float:
    """The mean of a column's last minute, 0 without any."""
    return _mean(values[-STEPS_A_MINUTE:])


def _row(view: HourView, steps: slice) -> HourRow:
    waits = view.waits[steps]
    return HourRow(
        age_s=view.ages_s[steps][0],
        waiting=_most(view.waiting[steps]),
        running=_most(view.running[steps]),
        slots=_most(view.slots[steps]),
        prompt_tokens_per_s=_mean(view.prompt_tokens_per_s[steps]),
        output_tokens_per_s=_mean(view.output_tokens_per_s[steps]),
        foretold_s=_weighted(view.foretold_s[steps], waits),
        waited_s=_weighted(view.waited_s[steps], waits),
        refusals=sum(view.refusals[steps]),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _weighted(means: Iterable[float | None], waits: Sequence[int]) -> float | None:
    total_s = sum(mean * count for mean, count in zip(means, waits, strict=True) if mean is not None)
    return total_s / sum(waits) if sum(waits) else None
