"""Fills each layer where nearer layers hide it. The filled farthest layer is the plate."""
