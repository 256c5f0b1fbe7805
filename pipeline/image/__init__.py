"""Reads and writes pictures: decoding, limits, colour, formats, resampling."""
