"""The audit pages: what is asked, how the log is read for it within bounds, and how it is shown."""
