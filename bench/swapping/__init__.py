"""Two models that fit only one at a time, asked by several clients at once: who is served, what lives, how long."""
