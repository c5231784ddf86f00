"""Where a request comes from and what it calls us: networks, proxies, hosts, origins."""
