"""A node that picks the best of several trained models by their error on one split."""
