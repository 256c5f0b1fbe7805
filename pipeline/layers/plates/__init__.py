"""Plates: each layer filled where nearer layers hide it."""
