"""`corral serve`: the parent process that starts, restarts and ends the others."""
