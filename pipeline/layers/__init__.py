"""From depth to layers: refine, split, matte, fill, assemble, recompose."""
