"""Makes layers from a picture and its depth: refine, split, matte, fill (`plates`), assemble, recompose."""
