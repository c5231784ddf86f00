"""policies decides: who may call, from where, how much, how soon. No sockets, no clock, no aiohttp."""
