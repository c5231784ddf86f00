"""The catalogue: every model that some engine serves, found by the caller's spelling."""

from collections.abc import Sequence

from engine.errors import ModelNotReady
from engine.interface import Engine
from engine.store.model_name import parse_model_name
from policies.call import ModelCard


class Catalogue:
    """Models over all engines. The first engine that lists a name describes and prepares it."""

    def __init__(self, engines: Sequence[Engine]) -> None:
        self._engines = tuple(engines)

    def cards(self) -> tuple[ModelCard, ...]:
        """One card a model, in the order of the engines."""
        return tuple(card for card, _ in self._by_name().values())

    @property
    def is_whole(self) -> bool:
        """False while an engine has not told what it serves: what is not found then may be its."""
        return all(engine.has_listed for engine in self._engines)

    def find(self, name: str) -> ModelCard | None:
        """The card for a caller's spelling, or None."""
        found = self._lookup(name)
        return found[0] if found else None

    def engine_of(self, name: str) -> Engine:
        """The engine that describes and prepares this model. Raises ModelNotReady when it just went away."""
        found = self._lookup(name)
        if found is None:
            raise ModelNotReady("model_left_catalogue")
        return found[1]

    def owner_of(self, name: str) -> Engine | None:
        """The engine that describes and prepares the model of this very name, if one lists it."""
        found = self._by_name().get(name.lower())
        return found[1] if found else None

    def _lookup(self, name: str) -> tuple[ModelCard, Engine] | None:
        try:
            key = parse_model_name(name).key
        except ValueError:
            return None
        return self._by_name().get(key)

    def _by_name(self) -> dict[str, tuple[ModelCard, Engine]]:
        found: dict[str, tuple[ModelCard, Engine]] = {}
        for engine in self._engines:
            for card in engine.models():
                found.setdefault(card.name.lower(), (card, engine))
        return found
