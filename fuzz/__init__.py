"""Parsers against random input. Each module but these says its invariant in its first line and has SEEDS and `one`."""
