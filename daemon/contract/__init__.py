"""What the daemon, the pipeline and the outside world agree on: pydantic models and nothing else."""
