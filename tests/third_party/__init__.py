"""Corral's log checked by programs that are not ours."""
