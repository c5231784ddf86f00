"""The two files an operator writes: their types, their faults, their reference page."""
