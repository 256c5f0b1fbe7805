"""The journal's records about jobs that have ended."""
