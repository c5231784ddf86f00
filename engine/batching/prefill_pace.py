"""How many prompt rows a step takes while others generate: from measured times, never from the clock itself.

A generating request gets a token a step, so the gap between two of its tokens is the step's time, and prompt rows
in the step lengthen it. What is wanted: the longest gaps (p99) within 3 times the median one. Rules:
 1. Alone, prompts take the whole batch: nobody waits for a token.
 2. While anyone generates, a step with prompt rows may take `STRETCH` times the step without of all these requests,
    were their prompts read already: that is the usual gap of a full worker. What the generating ones leave of it is
    for prompt rows: (STRETCH x decode time of all - decode time of the generating) / time a prompt row.
 3. Never fewer than `LEAST_ROWS`: a prompt goes on in every step but those of rule 6. Never more than the batch holds.
 4. A step without prompt rows tells the decode time of its number of generating requests. A number not measured
    yet takes the nearest smaller one's, and for each request more a prompt row's time, at most in proportion; else the
    nearest larger one's in proportion. All that is too short rather than too long: decode time grows with the number,
    by less than in proportion, and by no less than prompt rows cost.
 5. A step with both tells the time of a prompt row: what it took beyond the decode time, a row. Small chunks
    cost more a row than large ones (the weights are read again for each), and that is measured with them, so the
    chunk settles where the step takes what rule 2 allows.
 6. What rule 2 goes by is measured before it is used: a number of generating requests that never ran without prompt
    rows, or not for `MEASURED_FOR` steps, does so for one step. Where prompts always wait it would not happen by
    itself, and a time that is too short makes chunks so small that they always do. Before the time of a prompt row is
    known, a step takes `LEAST_ROWS`: on a slow model 64 took a second.
 7. Time does not always grow evenly with rows. So steps grow by a quarter or a block beyond what was fine before, and
    one far longer than allowed, of more rows than any that was not, bounds those to come for a while, or until as many
    turn out to be fine.
 8. Where that number is known (`tile_rows`), a step with generating requests stays below it: in a tile every row is
    computed against all cells that any of its rows sees, and generating rows are of as many sequences as there are.
    Measured, 16 streams: 63 rows of 8 sequences took 175 ms, 65 took 259. Where those who generate fill most of a
    tile by themselves nothing is gained by it.
 9. A step with generating requests has whole blocks of rows (`row_block`, see `engine.node_rows`) where that leaves
    `LEAST_ROWS`: beside 8 of 12 sequences 40 prompt rows took 2.18 ms each, 39 took 2.68 and 55 took 2.39; beside 11,
    37 took 2.15 and 52 took 3.11.

All times are decayed means, so they follow a context that grows or a machine that others use.
"""

from engine.node_rows import ROW_BLOCK, whole_blocks

# Below the 3 that is wanted: a step may take a fifth longer than predicted, noise of the machine included.
STRETCH = 2.5
LEAST_ROWS = 8
GAIN = 0.2  # weight of the newest step in the mean of a decode time
KEPT = 0.8  # weight of what was before in the sums of prompt rows
MOST_RISE = 2.0  # one step that another process stalled must not double more than that what is believed

LEAST_CEILING = 32  # rows of a step: so few are never far longer for their number
GROWTH = 1.25  # of the rows in a step beyond those that were fine before
OVERSHOOT = 1.4  # times what is allowed: far longer
MEASURED_FOR = 100  # steps with prompt rows; so one step in a hundred is for measuring
REMEMBERED_STEPS = 300  # with prompt rows, until a larger step is tried again: too rare to make a 99th percentile


class Ceiling:
    """The most rows a step with prompt rows may have, as far as steps before tell; None before any was measured."""

    def __init__(self) -> None:
        self._proven = 0
        self._bound = 0
        self._steps_left = 0

    @property
    def rows(self) -> int | None:
        if not self._proven:
            return None
        grown = int(max(LEAST_CEILING, GROWTH * self._proven, self._proven + ROW_BLOCK))
        return min(self._bound, grown) if self._steps_left else grown

    def observe(self, rows: int, *, is_far_longer: bool) -> None:
        """A step with prompt rows. One that is stalled, though as many rows were fine before, changes nothing."""
        self._steps_left = max(0, self._steps_left - 1)
        if not is_far_longer:
            self._proven = max(self._proven, rows)
            if rows > self._bound:  # what it was found by was a stall
                self._steps_left = 0
        elif rows > self._proven:
            is_near = rows - self._proven < LEAST_ROWS
            self._bound = self._proven if is_near else (self._proven + rows) // 2
            self._steps_left = REMEMBERED_STEPS


class RowTime:
    """Nanoseconds a prompt row: decayed sums of time and rows, so that a chunk counts by its size."""

    def __init__(self) -> None:
        self._ns = 0.0
        self._rows = 0.0

    @property
    def ns(self) -> float:
        """0 as long as nothing was measured."""
        return self._ns / self._rows if self._rows else 0.0

    def observe(self, rows: int, took_ns: float) -> None:
        most_ns = MOST_RISE * self.ns * rows if self.ns else took_ns
        self._ns = KEPT * self._ns + min(took_ns, most_ns)
        self._rows = KEPT * self._rows + rows


class PrefillPace:
    """Learns from every step and says how many prompt rows the next may have."""

    def __init__(self, batch_tokens: int, tile_rows: int = 0, row_block: int = ROW_BLOCK) -> None:
        self._batch_tokens = batch_tokens
        self._tile_rows = tile_rows
        self._row_block = row_block
        self._decode_ns: dict[int, float] = {}  # by the number of generating requests
        self._steps_since: dict[int, int] = {}  # with prompt rows, since that was measured
        self._beside = RowTime()  # prompt rows beside generating requests
        self._ceiling = Ceiling()
        self._allowed_ns = 0.0  # for the step planned last

    def rows(self, generating: int, prompting: int) -> int:
        """The most prompt rows of a step in which `generating` requests get a token each and `prompting` have a prompt
        to be read.
        """
        room = self._batch_tokens - generating
        if not generating:
            return room
        if self._steps_since.get(generating, MEASURED_FOR) >= MEASURED_FOR:
            return 0
        wanted = self._affordable(generating, prompting)
        if self._ceiling.rows is not None:
            wanted = min(wanted, self._ceiling.rows - generating)
        if generating + LEAST_ROWS < self._tile_rows:
            wanted = min(wanted, self._tile_rows - 1 - generating)
        blocks = whole_blocks(generating + wanted, self._row_block) - generating
        return max(0, min(room, blocks if blocks >= LEAST_ROWS else max(LEAST_ROWS, wanted)))

    def observe(self, *, decode_rows: int, prefill_rows: int, took_ns: int) -> None:
        """One step that was computed to its end."""
        self._steps_since[decode_rows] = self._steps_since.get(decode_rows, MEASURED_FOR) + 1 if prefill_rows else 0
        if not prefill_rows:
            self._observe_decode(decode_rows, took_ns)
        elif (decode_ns := self.decode_ns(decode_rows)) > 0:
            self._beside.observe(prefill_rows, max(0.0, took_ns - decode_ns))
            if self._allowed_ns:
                is_far_longer = took_ns > OVERSHOOT * self._allowed_ns
                self._ceiling.observe(decode_rows + prefill_rows, is_far_longer=is_far_longer)

    def decode_ns(self, generating: int) -> float:
        """What a step of so many generating requests takes without prompt rows; 0 before any was measured."""
        if generating in self._decode_ns:
            return self._decode_ns[generating]
        if smaller := [count for count in self._decode_ns if count < generating]:
            nearest = max(smaller)
            known_ns = self._decode_ns[nearest]
            return known_ns + (generating - nearest) * min(self._beside.ns, known_ns / nearest)
        if self._decode_ns:
            nearest = min(self._decode_ns)
            return self._decode_ns[nearest] * generating / nearest
        return 0.0

    def _affordable(self, generating: int, prompting: int) -> int:
        row_ns = self._beside.ns
        decode_ns = self.decode_ns(generating)
        whole_ns = max(decode_ns, self.decode_ns(generating + prompting))
        self._allowed_ns = STRETCH * whole_ns
        if not row_ns:
            return LEAST_ROWS
        return min(self._batch_tokens, int((self._allowed_ns - decode_ns) / row_ns))

    def _observe_decode(self, rows: int, took_ns: float) -> None:
        known_ns = self._decode_ns.setdefault(rows, took_ns)
        self._decode_ns[rows] = known_ns + GAIN * (min(took_ns, MOST_RISE * known_ns) - known_ns)
