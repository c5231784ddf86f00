"""Client certificates: whom they are trusted from, whom they stand for, when they end."""
