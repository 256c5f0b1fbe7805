"""Keeps what people and programs see of the jobs up to date: status.json, daemon.json and the page."""
