"""The daemon of Multiplane: a hot folder that turns photos into depth-ordered transparent layers."""

__version__ = "0.1.0"
