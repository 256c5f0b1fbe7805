"""What is recorded and said about jobs that have ended."""
