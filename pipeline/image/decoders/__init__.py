"""Decodes each family of formats."""
