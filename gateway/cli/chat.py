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

from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, say
from gateway.configuration.config import ConfigFaults, load_config
from gateway.homes.home import Home, open_home

TIMEOUT_S = 300.0


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `chat`."""
    parser = commands.add_parser("chat", parents=[common], help="talk to a model through the gateway")
    parser.add_argument("model", help="a model's name, as 'corral models list' prints it")
    parser.set_defaults(run=chat)


def chat(arguments: argparse.Namespace) -> int:
    """Read lines from stdin, print answers as they come (with --json, when whole) until the end of input."""
    if not arguments.api_key:
        raise CommandFault("set CORRAL_API_KEY to a key ('corral keys create --team T' makes one)", status=BAD_INPUT)
    connect = _connector(open_home(arguments.home))
    messages: list[dict[str, str]] = []
    for line in _prompts():
        messages.append({"role": "user", "content": line})
        answer = ""
        for piece in _answer(connect(), arguments.api_key, {"model": arguments.model, "messages": messages}):
            answer += piece
            if not arguments.json:
                say(piece, end="")
        messages.append({"role": "assistant", "content": answer})
        say(json.dumps(messages[-1]) if arguments.json else "")
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
            # What was typed in another encoding than the terminal's must not become half a character in the JSON.
            yield line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _connector(home: Home) -> Any:
    try:
        public = load_config(home.config).public
    except ConfigFaults as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(public.address, public.address)  # noqa: S104 (where we connect)
    if public.unsafe_no_tls:
        return lambda: http.client.HTTPConnection(host, public.port, timeout=TIMEOUT_S)
    try:
        context = ssl.create_default_context(cafile=home.ca_certificate)
    except OSError as fault:  # an SSLError too: no certificate in it
        what = fault.strerror or "it holds no certificate"
        raise CommandFault(f"cannot trust the gateway by {home.ca_certificate}: {what}: restore the file") from None
    return lambda: http.client.HTTPSConnection(host, public.port, timeout=TIMEOUT_S, context=context)


def _answer(connection: http.client.HTTPConnection, api_key: str, body: dict[str, Any]) -> Iterator[str]:
    whole = False
    try:
        connection.request("POST", "/api/chat", json.dumps(body), {"Authorization": f"Bearer {api_key}"})
        for line in connection.getresponse():
            said = json.loads(line)
            if "error" in said:
                raise CommandFault(f"the gateway answered: {said['error']}", status=FAILED)
            whole = said["done"]
            yield said["message"]["content"]
    except ssl.SSLCertVerificationError as fault:
        raise CommandFault(
            f"{connection.host} is not trusted by the home's tls/ca.pem ({fault.verify_message}): "
            "with a certificate of your own, use a client that trusts it"
        ) from None
    except OSError as fault:
        raise CommandFault(f"cannot reach the gateway: {fault}: is 'corral serve' running?") from None
    except (http.client.HTTPException, ValueError, LookupError, TypeError):
        raise CommandFault(f"what answers on port {connection.port} is no Corral: look at 'corral status'") from None
    finally:
        connection.close()
    if not whole:
        raise CommandFault("the answer broke off: look at 'corral status', then ask again")
