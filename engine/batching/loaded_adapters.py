"""The LoRA adapters of a loaded model. One that cannot be used is left out: the model itself goes on serving."""

from collections.abc import Mapping
from pathlib import Path

from engine import llama
from engine.store.adapter_check import read_adapter
from engine.store.gguf_header import GgufFault, GgufHeader, read_header


class LoadedAdapters:
    """`files` by name, each checked against the header of `model_file` before llama.cpp parses it.

    `faults` says of each that was left out why. Raises LlamaFault for the model's own file.
    """

    def __init__(self, model: llama.Model, model_file: Path, files: Mapping[str, Path]) -> None:
        self._loaded: dict[str, llama.Adapter] = {}
        self.faults: dict[str, str] = {}
        if not files:
            return
        base = _header_of(model_file)
        for name, file in files.items():
            try:
                read_adapter(file, base)
                self._loaded[name] = llama.Adapter(model, file)
            except (GgufFault, llama.LlamaFault) as fault:
                self.faults[name] = str(fault)
            except OSError as fault:
                self.faults[name] = f"the file cannot be read ({fault.strerror})"

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loaded)

    def of(self, name: str) -> llama.Adapter | None:
        """The adapter of that name; None for "", the bare model. Raises KeyError for one that is not loaded."""
        return self._loaded[name] if name else None

    def leave_out(self, name: str, why: str) -> None:
        """It is not used any more."""
        del self._loaded[name]
        self.faults[name] = why


def _header_of(model_file: Path) -> GgufHeader:
    try:
        return read_header(model_file)
    except (GgufFault, OSError) as fault:
        raise llama.LlamaFault(f"its header cannot be read ({fault})") from None
