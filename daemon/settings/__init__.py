"""The settings: `model` says what can be set, `loading` reads them, `layout` says where everything is.

A module is imported when a name of it is used first: `multiplane --help` needs none of these, and a person waits for imports.
"""

from typing import TYPE_CHECKING

from daemon.first_use import import_on_first_use

if TYPE_CHECKING:
    from daemon.settings.layout import Layout
    from daemon.settings.loading import load
    from daemon.settings.model import Settings
else:
    __getattr__ = import_on_first_use(
        __name__,
        {"layout": ["Layout"], "loading": ["load"], "model": ["Settings"]},
    )


__all__ = ["Layout", "Settings", "load"]
