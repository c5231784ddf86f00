"""Workers killed under load: what serves, what loads, what kills, and what was counted afterwards."""
