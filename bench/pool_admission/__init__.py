"""The queue on a real pool: first come first served and Corral's own, by turns, on one small real model."""
