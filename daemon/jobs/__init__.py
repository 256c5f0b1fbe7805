"""Decisions about jobs: what the records add up to, which job is next, what follows from an event. Touches nothing."""
