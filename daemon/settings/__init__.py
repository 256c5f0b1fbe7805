"""The settings: `model` says what can be set, `loading` reads them, `layout` says where everything is.

A module is imported when a name of it is used first: `multiplane --help` needs none of these, and a person waits for imports.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daemon.settings.layout import Layout
    from daemon.settings.loading import load
    from daemon.settings.model import Settings
else:
    _MODULES = {"Layout": "layout", "Settings": "model", "load": "loading"}

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__} has no attribute {name}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = ["Layout", "Settings", "load"]
