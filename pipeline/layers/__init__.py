"""From depth to layers: refine, split, matte, fill (`plates`), assemble, recompose."""
