"""How values are put into sentences: names and texts as one safe line, and mistakes in plain words."""
