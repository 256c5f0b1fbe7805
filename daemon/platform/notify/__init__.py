"""Notifications of the desktop, and the notes that systemd wants."""
