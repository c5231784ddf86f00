"""The pages of teams and keys: lists, forms, and what is in use of limits."""
