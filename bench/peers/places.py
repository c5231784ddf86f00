"""Where the peers lie, all below build/ and kept out of git."""

from setup.places import ROOT

PEERS = ROOT / "build" / "peers"
SERVER = PEERS / "made" / "llama-server"
BATCHED_BENCH = PEERS / "made" / "llama-batched-bench"
PYTHON_SERVER = PEERS / "python"
"""What `llama_cpp.server` imports beyond Corral's own environment."""
STAMP = PEERS / "stamp"
LOG = PEERS / "build.log"
