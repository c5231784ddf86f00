"""`corral keys lint FILE`: finds keys of Corral in any text, by form and checksum alone.

Exit status 0: none found, 1: some, 2: the text cannot be read. Prints lines and ids, never a secret.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, emit
from policies.credentials.api_key import KEY_LENGTH, find_api_keys

CHUNK_BYTES = 1024 * 1024


def lint(arguments: argparse.Namespace) -> int:
    """Look through FILE, or standard input for `-`."""
    try:
        if arguments.file == "-":
            found = list(find_lines(sys.stdin.buffer))
        else:
            with Path(arguments.file).open("rb") as stream:
                found = list(find_lines(stream))
    except OSError as fault:
        raise CommandFault(f"{arguments.file} cannot be read: {fault.strerror}", status=BAD_INPUT) from fault
    data = [{"line": line, "id": key_id} for line, key_id in found]
    text = "\n".join(f"{arguments.file}:{line}: Corral key {key_id}" for line, key_id in found)
    emit(arguments, data, text or "no Corral keys found")
    return FAILED if found else 0


def find_lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Line number (from 1) and id of each key in `stream`, read in pieces, so that one endless line is no danger."""
    line, rest = 1, ""
    while chunk := stream.read(CHUNK_BYTES):
        # Zero bytes go, so that a key in UTF-16 is seen as well; everything else keeps its place.
        text = rest + chunk.replace(b"\0", b"").decode("latin-1")
        end = 0
        for start, key in find_api_keys(text):
            yield line + text.count("\n", 0, start), key.id
            end = start + KEY_LENGTH
        # A key may be cut by the end of the piece: its beginning stays for the next one.
        keep = max(end, len(text) - KEY_LENGTH + 1, 0)
        line += text.count("\n", 0, keep)
        rest = text[keep:]
