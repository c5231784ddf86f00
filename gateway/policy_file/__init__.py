"""The policy as a file: read with its signatures, watched while the gateway runs."""
