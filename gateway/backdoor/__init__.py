"""Looks for model servers that can be reached past the gateway."""
