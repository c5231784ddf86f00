"""Inside a worker: slots, batches, sampling, and the loop over them."""
