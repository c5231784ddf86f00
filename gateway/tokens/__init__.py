"""Tokens of identity providers: their keys, fetched and kept, and what was verified with them."""
