"""The engine beside the programs it is made of or replaces: the same work by every way in, on one machine."""
