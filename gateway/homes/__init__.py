"""Where state lives: the home's paths, its lock, its certificate, files that only the owner reads."""
