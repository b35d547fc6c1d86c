"""Registry rows whose module is loaded when something of it is first used, so that a cold start pays for what it needs."""

import importlib
from typing import Any


class Late:
    """Stands for a module, or with `module:NAME` for something in it. `known` are names of it that can be told without
    loading it."""

    def __init__(self, place: str, **known: Any) -> None:
        self._module, _, self._name = place.partition(":")
        self.__dict__.update(known)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        module = importlib.import_module(self._module)
        value = getattr(getattr(module, self._name) if self._name else module, name)
        self.__dict__[name] = value
        return value
