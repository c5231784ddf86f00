"""The console: pages for those who review the log and run the teams, on a listener of its own."""
