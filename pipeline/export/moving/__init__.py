"""Formats in which the layers move: a video, a loop for the web, and pairs for two eyes."""
