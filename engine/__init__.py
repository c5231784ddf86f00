"""engine works: models and worker processes. Knows nothing of HTTP or of callers."""
