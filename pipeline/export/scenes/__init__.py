"""Formats that keep the layers apart: 3-D scenes, scripts that build one in another program, and a layered archive."""
