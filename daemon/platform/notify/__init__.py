"""Desktop notifications, and the messages for systemd."""
