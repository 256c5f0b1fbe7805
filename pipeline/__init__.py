"""Turns one photo into depth-ordered layers. Each job runs in a worker process of its own."""
