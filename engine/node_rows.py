"""How many rows llama.cpp computes at a time, so that a cancelled prompt is given up soon. Pure.

A batch is computed in pieces (`n_ubatch`), a piece node by node of a graph, and between two nodes it can be given up.
The longest node multiplies the rows of a piece by the widest matrix of a layer, so the rows bound how long a cancel
waits:

 (1) a row of that node is 2 operations for each number of the matrix (`widest_matrix`)
 (2) a node may be `NODE_OPERATIONS` a thread: 5 ms at the 45 to 65 thousand million a second that one thread did with
     4-bit weights (measured, x86-64 with VNNI). Half of 10 ms: looking at the sockets, an unlucky moment and the step
     that tells it take the rest
 (3) never below `FEWEST_ROWS`: each piece reads all weights once, and with less that would be most of its time. So
     models whose widest matrix has more than 3.9 million numbers a thread may take longer, in proportion
 (4) never more than a batch has
 (5) whole blocks of rows (`whole_blocks`)

Measured with SmolLM2-135M in Q4_0, 480 rows on one thread: pieces of 512, 256, 128, 64 and 32 rows took 1.16, 1.05,
1.13, 1.20 and 1.60 s of processor time, and their longest node 18, 8, 5, 5 and 7 ms. What attention adds to a node
grows with the cells in use and is not bounded here.
"""

from msgspec import Struct

NODE_OPERATIONS = 250_000_000
FEWEST_ROWS = 32
ROW_BLOCK = 16
"""Rows that llama.cpp's CPU kernels for 4-bit weights take at once; what is left over goes by fours and then singly.
Measured on one thread: 15 rows 42.5 ms, 16 rows 34.2; 48 rows 96.9, 63 rows 135.7."""

IN_BLOCKS = frozenset({"Q4_0", "Q4_K_S", "Q4_K_M", "IQ4_NL"})
"""What llama.cpp repacks for such kernels, by the names of `general.file_type`."""


class BatchShape(Struct, frozen=True, kw_only=True):
    """Batches of up to `tokens` rows of up to `sequences`, computed in pieces of `piece_rows`, which rows that see each
    other must share.
    """

    tokens: int
    piece_rows: int
    sequences: int


def widest_matrix(*, width: int, feed_forward: int, expert_feed_forward: int = 0, experts_used: int = 0) -> int:
    """Numbers in the largest product of a layer, from the file's own sizes; a feed-forward of 0 (it differs by layer,
    or the file does not say) counts as four widths.
    """
    experts = expert_feed_forward * experts_used
    return width * max(width, feed_forward or (0 if experts else 4 * width), experts)


def node_rows(matrix_numbers: int, *, threads: int, batch_tokens: int) -> int:
    """The rows of a piece for a model whose widest matrix has so many numbers."""
    rows = threads * NODE_OPERATIONS // max(1, 2 * matrix_numbers)
    return min(batch_tokens, max(FEWEST_ROWS, whole_blocks(rows)))


def row_block(quantization: str, *, gpu_layers: int) -> int:
    """The rows of a block for weights of that kind; 1 where no number of rows is better than the next.

    Measured with one thread, ms a row of 32, 47, 48 and 63 rows: Q4_0 0.455, 0.498, 0.456, 0.493; Q8_0 0.580, 0.559,
    0.550, 0.551; F16 0.679, 0.648, 0.651, 0.638. A GPU's kernels were not measured.
    """
    return ROW_BLOCK if not gpu_layers and quantization in IN_BLOCKS else 1


def whole_blocks(rows: int, block: int = ROW_BLOCK) -> int:
    """The most whole blocks in `rows`, as rows."""
    return rows - rows % block
