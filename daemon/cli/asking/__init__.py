"""Asking the daemon for something: sending requests, and foreseeing what those that are kept will do."""
