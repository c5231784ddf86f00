"""API keys at rest: the store, the pepper, and how a change is recorded."""
