"""Main of a preparer process: the vocabulary of one model, behind two walls.

    python -m engine.preparer --model-file PATH --model NAME --context-tokens N --timeout-s S
        --memory-bytes N --listen-fd FD [--projector PATH]

Order, and why:
 (1) arguments
 (2) die with the supervisor, so that no preparer outlives it unseen
 (3) the first wall, before numpy and llama.cpp are imported and before the model file is opened
 (4) the structural check of the file by our own reader, then the vocabulary, then the chat template; with a
     projector its check, and one image of each kind decoded
 (5) the second wall, once everything that serving needs is loaded and imported
 (6) serve on the listening socket that was handed down, until SIGTERM

Exit status: 0 after SIGTERM, 2 for wrong arguments, 3 when the model cannot be prepared (one line on stderr).
A question that hangs in C code ends the process by SIGPROF (engine.preparing.time_limit).
"""

import argparse
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from engine.death import CANNOT_LOAD
from engine.errors import PrepareFailed
from engine.frames import PROTOCOL_VERSION, PreparerHello
from engine.model_check import check_model_file
from engine.own_stderr import mute_libraries
from engine.process_start import (
    LoadFailed,
    add_sandbox_argument,
    die_with_supervisor,
    raise_second_wall,
    raise_wall,
)
from engine.serving_imports import import_for_preparer
from engine.store.yarn import NO_YARN, read_yarn
from engine.syscall_allowlist import PREPARING

if TYPE_CHECKING:
    from engine.llama import Vocabulary
    from engine.preparing.picture_marks import Sight
    from engine.preparing.preparer_service import Preparer
    from engine.preparing.prompt import Words
    from engine.store.gguf_header import GgufHeader


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the preparer; returns the exit status."""
    options = read_arguments(arguments)
    die_with_supervisor()
    stop = _stop_on_sigterm()
    try:
        raise_wall(options, "preparer")
        preparer, hello = _load(options)
        _serve(options, preparer, hello, stop)
    except LoadFailed as fault:
        sys.stderr.write(f"preparer: cannot load {options.model}: {fault}\n")
        return CANNOT_LOAD
    return 0


def read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Exits with status 2 when it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m engine.preparer", allow_abbrev=False)
    parser.add_argument("--model-file", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--context-tokens", type=int, required=True)
    parser.add_argument("--timeout-s", type=float, required=True)
    parser.add_argument("--memory-bytes", type=int, required=True)
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--projector", type=Path)
    parser.add_argument("--yarn", type=read_yarn, default=NO_YARN)
    add_sandbox_argument(parser)
    return parser.parse_args(arguments)


def _stop_on_sigterm() -> socket.socket:
    """A socket that becomes readable at SIGTERM."""
    stop, wake = socket.socketpair()
    wake.setblocking(False)

    def ask_to_stop(_signal: int, _frame: object) -> None:
        wake.send(b"s")

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the supervisor's to answer
    return stop


def _load(options: argparse.Namespace) -> tuple["Preparer", PreparerHello]:
    # Behind the wall, see (3).
    from engine.llama import LlamaFault, load_vocabulary  # noqa: PLC0415
    from engine.store.model_details import capabilities_of  # noqa: PLC0415

    try:
        header = check_model_file(options.model_file)
        vocabulary = load_vocabulary(options.model_file)
    except LlamaFault as fault:
        raise LoadFailed(str(fault)) from None
    except (OSError, MemoryError) as fault:
        raise LoadFailed(f"the file cannot be read ({str(fault) or 'memory'})") from None
    hello = PreparerHello(
        version=PROTOCOL_VERSION,
        model=options.model,
        context_tokens=options.context_tokens,
        capabilities=capabilities_of(header) + (("vision",) if options.projector else ()),
        pid=os.getpid(),
    )
    return _preparer(options, header, vocabulary), hello


def _preparer(options: argparse.Namespace, header: "GgufHeader", vocabulary: "Vocabulary") -> "Preparer":
    """The parts of one model joined."""
    from engine.answers.answer_form import form_of  # noqa: PLC0415
    from engine.llama import check_grammar, schema_to_gbnf  # noqa: PLC0415
    from engine.preparing.preparer_service import Preparer  # noqa: PLC0415
    from engine.preparing.prompt import PromptMaker  # noqa: PLC0415
    from engine.preparing.template import ChatTemplate, TemplateFault  # noqa: PLC0415
    from engine.store.model_details import shown_info  # noqa: PLC0415

    source = str(header.metadata.get("tokenizer.chat_template", ""))
    template = None
    try:
        if source:
            template = ChatTemplate(source, bos_text=vocabulary.bos_text, eos_text=vocabulary.eos_text)
    except TemplateFault as fault:
        sys.stderr.write(f"preparer: {options.model}: {fault.text}; it will not chat\n")
    maker = PromptMaker(
        model=options.model,
        words=words_of(vocabulary, source),
        template=template,
        context_tokens=options.context_tokens,
        form=form_of(source),
        sight=_sight(options.projector, header) if options.projector else None,
    )
    return Preparer(
        maker,
        timeout_s=options.timeout_s,
        translate=schema_to_gbnf,
        compiles=lambda grammar: check_grammar(vocabulary, grammar),
        info=shown_info(header, options.yarn),
        template=source,
    )


def _sight(projector: Path, base: "GgufHeader") -> "Sight":
    """What a prompt needs to know of the projector, whose weights are the worker's, and the decoder of images, every
    part of it loaded: behind the second wall no file is opened any more. Raises LoadFailed.
    """
    from engine.preparing.image_decoder import decode_images, warm_up  # noqa: PLC0415
    from engine.preparing.picture_marks import Sight  # noqa: PLC0415
    from engine.store.projector_check import projector_of, read_projector  # noqa: PLC0415

    header = check_model_file(projector, read=lambda path: read_projector(path, base))
    warm_up()
    return Sight(projector_of(header), decode_images)


def words_of(vocabulary: "Vocabulary", template: str) -> "Words":
    """The tokeniser of `vocabulary`, with the markers that callers may not spell."""
    from engine.preparing.prompt import Words  # noqa: PLC0415
    from engine.preparing.special_text import find_markers  # noqa: PLC0415

    return Words(
        tokenise=partial(_tokenise, vocabulary),
        size=vocabulary.size,
        bos_id=vocabulary.bos_id,
        bos_text=vocabulary.bos_text,
        adds_bos=vocabulary.adds_bos,
        adds_eos=vocabulary.adds_eos,
        longest_bytes=max((len(vocabulary.piece(i, special=True)) for i in range(vocabulary.size)), default=1) or 1,
        markers=find_markers(_pieces(vocabulary), template),
    )


def _tokenise(vocabulary: "Vocabulary", text: str, special: bool, bos: bool) -> list[int]:
    """The ids of `text`. Raises PrepareFailed for what llama.cpp cannot read."""
    from engine.llama import LlamaFault  # noqa: PLC0415

    try:
        return vocabulary.tokenize(text, special=special, bos=bos).tolist()  # type: ignore[no-any-return]
    except LlamaFault:
        raise PrepareFailed("tokeniser_fault", "the input cannot be tokenised") from None


def _pieces(vocabulary: "Vocabulary") -> Iterator[tuple[str, bool]]:
    """Each token's text, and whether llama.cpp takes it for a control token: those have no plain text."""
    for token_id in range(vocabulary.size):
        plain = vocabulary.piece(token_id)
        text = plain or vocabulary.piece(token_id, special=True)
        yield text.decode("utf-8", "replace"), not plain


def _serve(options: argparse.Namespace, preparer: "Preparer", hello: PreparerHello, stop: socket.socket) -> None:
    from engine.preparing.preparer_service import MAX_CONNECTIONS, PreparerService  # noqa: PLC0415

    mute_libraries()
    listener = socket.socket(fileno=options.listen_fd)
    service = PreparerService(listener, preparer.answer, hello, stop)
    import_for_preparer()
    # One more than it keeps: what comes beyond that is accepted and closed.
    raise_second_wall(options, "preparer", connections=MAX_CONNECTIONS + 1, calls=PREPARING)
    service.run()


if __name__ == "__main__":
    sys.exit(main())
