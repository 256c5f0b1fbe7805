"""Decodes the TIFFs that Pillow would misread, and decides which kinds of TIFF are read."""
