"""Admission under simulated load: Corral's queue beside what else there is (`make bench-admission`)."""
