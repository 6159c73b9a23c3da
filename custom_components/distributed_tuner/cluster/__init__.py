"""Where the chief and the workers of a search run."""
