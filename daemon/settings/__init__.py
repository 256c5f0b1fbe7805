"""The settings: `model` says what can be set, `loading` reads them, `layout` says where everything is."""

from daemon.settings.layout import Layout
from daemon.settings.loading import load
from daemon.settings.model import Settings

__all__ = ["Layout", "Settings", "load"]
