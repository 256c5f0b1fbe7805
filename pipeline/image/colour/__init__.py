"""Converts pixels to 8-bit RGB, and knows the colour spaces that files declare."""
