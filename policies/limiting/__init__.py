"""How much, how often: claims, their decision, grants, and what is told of them."""
