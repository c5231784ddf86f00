"""Who is calling: keys, signatures and certificates as they are presented, proven and taken back."""
