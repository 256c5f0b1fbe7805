"""The formats that the daemon, the pipeline and other programs share: files, messages and records."""
