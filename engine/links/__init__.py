"""A gateway's side of the engine processes: channels and frames."""
