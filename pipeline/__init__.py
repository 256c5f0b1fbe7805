"""The pictures: from one photo to its depth-ordered layers. Runs in a worker process, one job each."""
