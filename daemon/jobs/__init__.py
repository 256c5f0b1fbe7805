"""Pure decisions about jobs: which record follows from an event, which jobs the records describe, and which job is next."""
