"""`corral models import|list|show|rm`: the models on this machine."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from engine.store.adapter_check import alpha_of, rank_of
from engine.store.model_details import shown_info
from engine.store.model_store import Additions, ModelStore, StoredModel
from engine.store.store_fault import StoreFault
from engine.store.yarn import Yarn
from gateway.cli.admin_client import call_act
from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, emit, table
from gateway.homes.home import open_home
from policies.call import ModelCard

NO_MODELS = "no models yet: 'corral models import FILE.gguf NAME:TAG' adds one"
NEXT_START = "a running 'corral serve' takes this up at its next start"
_SHOW_PROGRESS_FROM_BYTES = 64 * 1024 * 1024


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """Add `corral models` to the command line."""
    group = commands.add_parser("models", help="the models on this machine").add_subparsers(
        dest="action", required=True, metavar="ACTION"
    )
    importing = group.add_parser("import", parents=[common], help="copy a GGUF file into the model store")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("name", metavar="NAME", help="MODEL or MODEL:TAG")
    importing.add_argument("--system", default="", metavar="TEXT", help="the model's own system message")
    importing.add_argument("--adapter-of", default="", metavar="MODEL", help="FILE is a LoRA adapter of this model")
    importing.add_argument("--projector", type=Path, metavar="FILE", help="the projector that lets the model see")
    importing.add_argument(
        "--yarn", type=float, metavar="FACTOR", help="stretch its context so many times, at some quality"
    )
    importing.add_argument(
        "--yarn-original",
        type=_tokens,
        metavar="TOKENS",
        help="what is stretched (default: the context the file states)",
    )
    _add_why(importing)
    importing.set_defaults(run=import_model)
    group.add_parser("list", parents=[common], help="all models").set_defaults(run=list_models)
    for name, run, text in (("show", show_model, "one model"), ("rm", remove_model, "remove one model")):
        command = group.add_parser(name, parents=[common], help=text)
        command.add_argument("name", metavar="NAME")
        if name == "show":
            command.add_argument("--plan", action="store_true", help="how it would run on this machine, and why")
        command.set_defaults(run=run)
        _add_why(command)


def _add_why(command: argparse.ArgumentParser) -> None:
    command.add_argument("--reason", default="", help="why, for the audit log")
    command.add_argument("--ticket", default="", help="the ticket that asked for it, for the audit log")


def import_model(arguments: argparse.Namespace) -> int:
    """Copy FILE into the store as NAME."""
    store = _store(arguments)
    try:
        model = _import(store, arguments)
        card = store.card(model)
    except StoreFault as fault:
        raise _fault(fault) from None
    text = f"imported {card.name}: {_summary(card)}\n{NEXT_START}"
    emit(arguments, {**_card_json(card), "model_digest": model.manifest.model.digest, **_beside_json(model)}, text)
    return 0


def _import(store: ModelStore, arguments: argparse.Namespace) -> StoredModel:
    file, name, progress = arguments.file, arguments.name, _Progress(arguments.json)
    asked = _asked_yarn(arguments)

    def record(name: str, digest: str) -> None:
        _record(
            arguments, "models.import", name, digest, yarn=f"{asked.factor:g}:{asked.original_tokens}" if asked else ""
        )

    if (base := arguments.adapter_of) and arguments.projector:
        raise CommandFault(
            "--projector belongs to a model, --adapter-of to an adapter: give one of them", status=BAD_INPUT
        )
    if arguments.yarn is None and arguments.yarn_original is not None:
        raise CommandFault("--yarn-original says what --yarn stretches: give that too", status=BAD_INPUT)
    if base and arguments.yarn is not None:
        raise CommandFault("--yarn belongs to a model: its adapters run with it as it is", status=BAD_INPUT)
    if base:
        return store.import_adapter(file, name, base, progress, system=arguments.system, before_entry=record)
    adds = Additions(arguments.system, arguments.projector, asked)
    return store.import_gguf(file, name, progress, adds=adds, before_entry=record)


def _tokens(text: str) -> int:
    tokens = int(text)
    if tokens < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return tokens


def _asked_yarn(arguments: argparse.Namespace) -> Yarn | None:
    if arguments.yarn is None:
        return None
    return Yarn(arguments.yarn, arguments.yarn_original or 0)


def list_models(arguments: argparse.Namespace) -> int:
    """All models by name; entries that cannot be used are complained of and make the status 1."""
    store = _store(arguments)
    models, unusable = store.scan()
    faults, cards = list(unusable), []
    for model in models:
        try:
            cards.append(store.card(model))
        except StoreFault as damage:
            faults.append(damage)
    emit(arguments, [_card_json(card) for card in cards], _card_table(cards) if cards else NO_MODELS)
    for fault in faults:
        print(f"corral: {_printable(str(fault))}", file=sys.stderr)
    return FAILED if faults else 0


def show_model(arguments: argparse.Namespace) -> int:
    """One model: its card and what its file says."""
    store = _store(arguments)
    try:
        model = store.find(arguments.name)
        if arguments.plan:
            from gateway.cli.models_plan import show_plan

            return show_plan(arguments, open_home(arguments.home), store, model)
        card, header = store.card(model), store.header(model)
        adapter = store.adapter_header(model) if model.base else None
    except StoreFault as fault:
        raise _fault(fault) from None
    info = shown_info(header, model.yarn)
    own = {"rank": rank_of(adapter), "alpha": alpha_of(adapter)} if adapter else {}
    told = [*_description(model, card), *(f"{key}: {value:g}" for key, value in own.items())]
    lines = [*told, "", *(f"{key}: {value}" for key, value in sorted(info.items()))]
    document = {**_card_json(card), **_beside_json(model), **own, "model_info": info}
    emit(arguments, document, "\n".join(_printable(line) for line in lines))
    return 0


def remove_model(arguments: argparse.Namespace) -> int:
    """Remove the model and what no other model uses of it."""
    store = _store(arguments)
    try:
        model = store.find(arguments.name)
        store.require_no_adapters(model.name)
        own = model.manifest.adapter or model.manifest.model
        _record(arguments, "models.remove", model.name.display, own.digest.removeprefix("sha256:"))
        store.remove(arguments.name)
    except StoreFault as fault:
        raise _fault(fault) from None
    emit(arguments, {"removed": arguments.name}, f"removed {arguments.name}\n{NEXT_START}")
    return 0


def _record(arguments: argparse.Namespace, act: str, name: str, digest: str, **more: str) -> None:
    """Have the log say it first. Raises CommandFault when it cannot; nothing is changed then."""
    told = {"name": name, "digest": digest, "reason": arguments.reason, "ticket": arguments.ticket, **more}
    call_act(open_home(arguments.home), act, told)


def _store(arguments: argparse.Namespace) -> ModelStore:
    return ModelStore(open_home(arguments.home).models)


def _fault(fault: StoreFault) -> CommandFault:
    return CommandFault(_printable(str(fault)), status=BAD_INPUT if fault.bad_input else FAILED)


def _card_json(card: ModelCard) -> dict[str, Any]:
    details = card.details
    return {
        "name": card.name,
        "digest": card.digest,
        "size_bytes": card.size_bytes,
        "modified_at": card.modified_at,
        "family": details.family,
        "parameter_size": details.parameter_size,
        "quantization": details.quantization_level,
        "context_length": details.context_length,
        "capabilities": list(card.capabilities),
        **({"adapter_of": card.parent} if card.parent else {}),
    }


def _beside_json(model: StoredModel) -> dict[str, Any]:
    """The digests of the files beside the model's own (an adapter's, a projector's), and what stretches its context."""
    beside = {"adapter_digest": model.manifest.adapter, "projector_digest": model.manifest.projector}
    yarn = model.yarn
    stretch = {"yarn_factor": yarn.factor, "yarn_original_tokens": yarn.original_tokens} if yarn.stretches else {}
    return {name: layer.digest for name, layer in beside.items() if layer} | stretch


def _card_table(cards: list[ModelCard]) -> str:
    rows = [
        tuple(
            _printable(cell)
            for cell in (
                card.name,
                card.digest[:12],
                _mebibytes(card.size_bytes),
                card.details.parameter_size,
                card.details.quantization_level,
                time.strftime("%Y-%m-%d %H:%M", time.localtime(card.modified_at)),
            )
        )
        for card in cards
    ]
    return table(("NAME", "ID", "SIZE", "PARAMETERS", "QUANTIZATION", "MODIFIED"), rows)


def _description(model: StoredModel, card: ModelCard) -> list[str]:
    yarn = model.yarn
    return [
        f"name: {card.name}",
        f"digest: {card.digest}",
        f"model: {_summary(card)}",
        f"capabilities: {', '.join(card.capabilities)}",
        f"file: {model.file}",
        *([f"adapter of: {model.base}", f"adapter file: {model.adapter}"] if model.base else []),
        *([f"projector file: {model.projector}"] if model.projector else []),
        *([f"context stretched by YaRN: {yarn.factor:g} times {yarn.original_tokens}"] if yarn.stretches else []),
    ]


def _summary(card: ModelCard) -> str:
    details = card.details
    return (
        f"{details.family}, {details.parameter_size} parameters, {details.quantization_level}, "
        f"{details.context_length} tokens of context, {_mebibytes(card.size_bytes)}"
        + (f", a LoRA adapter of {card.parent}" if card.parent else "")
    )


def _mebibytes(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.1f} MiB"


def _printable(text: str) -> str:
    """`text` for a terminal: a model file must not be able to send it control sequences."""
    return "".join(character if character.isprintable() else " " for character in text)


class _Progress:
    """One line on a terminal that counts up while a large file is copied."""

    def __init__(self, quiet: bool) -> None:
        self._shown = not quiet and sys.stderr.isatty()
        self._percent = -1

    def __call__(self, done_bytes: int, total_bytes: int) -> None:
        percent = 100 * done_bytes // total_bytes
        if self._shown and total_bytes >= _SHOW_PROGRESS_FROM_BYTES and percent != self._percent:
            self._percent = percent
            end = "\n" if done_bytes >= total_bytes else ""
            print(f"\rcopying: {percent:3d} % of {_mebibytes(total_bytes)}", end=end, file=sys.stderr, flush=True)
