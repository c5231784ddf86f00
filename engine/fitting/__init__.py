"""Fitting models to the machine: what each needs, where its layers go, and why; pure."""
