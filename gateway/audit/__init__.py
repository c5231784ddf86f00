"""The audit log on disk: chained lines, group commit, recovery."""
