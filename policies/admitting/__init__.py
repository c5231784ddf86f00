"""The parts of the queue: what it is told, what it knows, what it decides by."""
