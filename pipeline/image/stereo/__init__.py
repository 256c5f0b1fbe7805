"""Finds the two views of a stereo picture, aligns them, and measures disparity."""
