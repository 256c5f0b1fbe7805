"""The daemon of Multiplane: a hot folder that turns photos into depth-ordered transparent layers."""

import os
import sys
from types import ModuleType

__version__ = "0.1.0"

# Otherwise pydantic would read the metadata of every installed package at each start, to find plugins. We use none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
# It would still import the module that finds them, and with it the standard library's readers of packages and of e-mail. This one
# stands in for it. If a later pydantic has no such module, this changes nothing.
if os.environ["PYDANTIC_DISABLE_PLUGINS"] == "__all__":
    _without_plugins = ModuleType("pydantic.plugin._loader")
    vars(_without_plugins)["get_plugins"] = tuple
    sys.modules.setdefault(_without_plugins.__name__, _without_plugins)
