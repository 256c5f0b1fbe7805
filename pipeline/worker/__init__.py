"""The entry point of worker processes, and what surrounds a job in one: guardian, sandbox, preload, warm-up."""
