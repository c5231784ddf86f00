"""Requests that are cancelled at random moments, and what of a worker must be the same afterwards."""
