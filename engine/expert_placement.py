"""Which tensors are the experts of the first layers, as a pattern of their names. Pure.

llama.cpp names them `blk.N.ffn_{gate,up,down,gate_up}_exps` (`_chexps` for chunked ones), and takes an ECMAScript
pattern that is searched for anywhere in a name (`tensor_buft_overrides`). Shared experts (`_shexp`) are dense.
"""


def expert_pattern(layers: int) -> str:
    """A pattern that fits the experts of layers 0 up to `layers`, and nothing when there are none."""
    numbers = "|".join(str(number) for number in range(layers)) or "none"
    return rf"^blk\.({numbers})\.ffn_(up|down|gate|gate_up)_(ch)?exps"
