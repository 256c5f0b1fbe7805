"""Pictures in and out: decode, limits, colour, formats, resampling."""
