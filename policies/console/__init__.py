"""Who may look at the console's pages, for how long, and which requests of a browser are taken. Pure decisions."""
