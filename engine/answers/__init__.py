"""What a model's own words mean: reasoning and tool calls, read out of its text."""
