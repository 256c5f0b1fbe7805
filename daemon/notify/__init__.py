"""Informs the person at the machine: notifications, and colours in Finder."""
