"""From one photo to its depth-ordered layers. Runs in worker processes, one for each job."""
