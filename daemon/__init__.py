"""The daemon of Multiplane: a hot folder that turns photos into depth-ordered transparent layers."""

import os

__version__ = "0.1.0"

# Looking for pydantic's plugins reads the description of every installed package, at each start; none shall have a say here.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
