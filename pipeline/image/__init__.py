"""Reading and writing pictures: decoding, limits, colour, formats, resampling."""
