"""What the daemon, the pipeline and outside programs agree on: pydantic models only."""
