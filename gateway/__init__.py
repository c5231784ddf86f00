"""gateway speaks: everything that meets the network. A request is read here from first byte to last."""
