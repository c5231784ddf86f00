"""`corral chat MODEL`: a conversation in the terminal, through the gateway like any other client.

It asks this host's own gateway over TLS with a key from `CORRAL_API_KEY` (never an argument: arguments
are seen by every process of the host), so what it does is limited and logged like everything else.
"""

import argparse
import http.client
import json
import ssl
import sys
from collections.abc import Iterator
from typing import Any

from gateway.cli.output import BAD_INPUT, FAILED, CommandFault
from gateway.configuration.config import ConfigFaults, load_config
from gateway.homes.home import Home, open_home

TIMEOUT_S = 300.0


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `chat`."""
    parser = commands.add_parser("chat", parents=[common], help="talk to a model through the gateway")
    parser.add_argument("model", help="a model's name, as 'corral models list' prints it")
    parser.set_defaults(run=chat)


def chat(arguments: argparse.Namespace) -> int:
    """Read lines from stdin, print answers as they come; the conversation is kept until the end of input."""
    if not arguments.api_key:
        raise CommandFault("set CORRAL_API_KEY to a key ('corral keys create --team T' makes one)", status=BAD_INPUT)
    connect = _connector(open_home(arguments.home))
    messages: list[dict[str, str]] = []
    for line in _prompts():
        messages.append({"role": "user", "content": line})
        answer = ""
        for piece in _answer(connect(), arguments.api_key, {"model": arguments.model, "messages": messages}):
            print(piece, end="", flush=True)
            answer += piece
        print(flush=True)
        messages.append({"role": "assistant", "content": answer})
    return 0


def _prompts() -> Iterator[str]:
    if sys.stdin.isatty():
        print("Type a message; Ctrl-D ends.", file=sys.stderr)
    while True:
        try:
            line = input(">>> " if sys.stdin.isatty() else "")
        except EOFError:
            return
        if line.strip():
            yield line


def _connector(home: Home) -> Any:
    try:
        public = load_config(home.config).public
    except ConfigFaults as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(public.address, public.address)  # noqa: S104 (where we connect)
    if public.unsafe_no_tls:
        return lambda: http.client.HTTPConnection(host, public.port, timeout=TIMEOUT_S)
    context = ssl.create_default_context(cafile=home.ca_certificate)
    return lambda: http.client.HTTPSConnection(host, public.port, timeout=TIMEOUT_S, context=context)


def _answer(connection: http.client.HTTPConnection, api_key: str, body: dict[str, Any]) -> Iterator[str]:
    try:
        connection.request("POST", "/api/chat", json.dumps(body), {"Authorization": f"Bearer {api_key}"})
        response = connection.getresponse()
        for line in response:
            said = json.loads(line)
            if "error" in said:
                raise CommandFault(f"the gateway answered: {said['error']}", status=FAILED)
            yield said["message"]["content"]
    except (OSError, ssl.SSLError) as fault:
        raise CommandFault(f"cannot reach the gateway: {fault}: is 'corral serve' running?") from None
    finally:
        connection.close()
