"""What is wrong with an installation, found without changing anything."""
