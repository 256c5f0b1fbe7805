"""Brings jobs from pending to ended: the job runner, warm workers, publishing, failures, and recovery after a crash."""
