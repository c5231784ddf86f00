"""Measurements: ratios taken in one run, interleaved, with the machine's own disturbance beside them."""
