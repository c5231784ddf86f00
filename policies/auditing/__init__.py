"""The audit log proven: its tree, its signed checkpoints, and what may stand in it. Pure decisions, no files."""
