"""Upstreams: model servers that already run, each an engine behind one adapter."""
