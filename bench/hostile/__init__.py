"""Hostile model files and hostile requests, against the real processes."""
