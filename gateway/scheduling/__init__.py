"""Where the queue is decided: in this process, or for several gateways in one of them."""
