"""From a fresh checkout to a running Corral: plain standard library, run by the system's own Python."""
