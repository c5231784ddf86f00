"""The public face: accepting, parsing, answering. The only place that knows aiohttp's server."""
