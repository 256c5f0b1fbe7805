"""Figures of a photo, seen without a model: patches, what stands out, proposals, and the choice among them."""
