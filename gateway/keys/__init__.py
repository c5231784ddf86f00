"""Keys, revocations and grants: how they lie on disk, in memory and between hosts, and the pepper of the keys."""
