"""The daemon of Multiplane: a hot folder that turns photos into depth-ordered transparent layers."""

import os

__version__ = "0.1.0"

# Otherwise pydantic would read the metadata of every installed package at each start, to find plugins. We use none.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
