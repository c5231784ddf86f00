"""Proofs in full size, one module each; `bench.prove` runs them."""
