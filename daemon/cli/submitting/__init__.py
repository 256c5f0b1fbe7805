"""What `submit` does: dropping pictures, waiting for their jobs, copying the results."""
