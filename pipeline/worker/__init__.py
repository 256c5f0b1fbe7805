"""The entry point of worker processes, and what surrounds a job: guardian, sandbox, preload, warm-up."""
