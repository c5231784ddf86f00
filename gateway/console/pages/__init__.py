"""The console's pages, a file for each part with a list of its routes."""
