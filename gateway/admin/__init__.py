"""What an operator does: acts, the socket they arrive on, and the making of a home."""
