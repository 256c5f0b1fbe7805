"""Finds the figures in a photo without a model: superpixels, saliency, proposals, and the choice among them."""
