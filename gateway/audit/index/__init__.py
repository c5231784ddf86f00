"""The index of the audit log: what a search is answered from."""
