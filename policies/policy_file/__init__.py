"""The policy as a file: what a change changes, what is odd in it, who signed it."""
