"""Keras's registry of custom objects: a trial's entries are removed after it, except those of modules it imported.

A name in the registry affects every later `Dense(activation="relu")`, or loss given by name. A module that a trial
imports registers its classes once per process, and would not do so again.
"""

from __future__ import annotations

import sys
from typing import Any

from keras.src.saving import object_registration as registry


class CustomObjects:
    """What was registered, and which modules were loaded, when this was made."""

    def __init__(self) -> None:
        self._objects: dict[str, Any] = dict(registry._GLOBAL_CUSTOM_OBJECTS)
        self._names: dict[Any, str] = dict(registry._GLOBAL_CUSTOM_NAMES)
        self._modules = frozenset(sys.modules)

    def __eq__(self, before: object) -> bool:
        """Whether the registry is the same as before, apart from entries of modules loaded since."""
        if not isinstance(before, CustomObjects):
            return NotImplemented
        return before._wanted() == self._objects

    __hash__ = None  # type: ignore[assignment]

    def put_back(self) -> None:
        """Restores the registry, but keeps entries of modules loaded since."""
        wanted = self._wanted()
        names = {each: name for each, name in registry._GLOBAL_CUSTOM_NAMES.items() if wanted.get(name) is each}
        registry._GLOBAL_CUSTOM_OBJECTS.clear()
        registry._GLOBAL_CUSTOM_OBJECTS.update(wanted)
        registry._GLOBAL_CUSTOM_NAMES.clear()
        registry._GLOBAL_CUSTOM_NAMES.update({**self._names, **names})

    def _wanted(self) -> dict[str, Any]:
        now = registry._GLOBAL_CUSTOM_OBJECTS
        imported = {name: each for name, each in now.items() if name not in self._objects and self._is_imported(each)}
        return {**self._objects, **imported}

    def _is_imported(self, each: Any) -> bool:
        home = getattr(each, "__module__", None) or type(each).__module__
        return home not in self._modules
