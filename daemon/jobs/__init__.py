"""Decisions about jobs: what the records add up to, who is next, what follows from an event. Touches nothing."""
