"""Says what files that are no supported pictures are, by their names."""
