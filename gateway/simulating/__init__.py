"""A simulated pool behind a queue: discrete events, no I/O, no clock, randomness only as an argument."""
