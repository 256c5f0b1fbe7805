"""Reads the pictures that phones store beside a photo: its depth, and its mattes."""
