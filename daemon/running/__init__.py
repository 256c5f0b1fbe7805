"""From pending to ended: the job runner, warm workers, late writes to pictures, recovery after a crash."""
