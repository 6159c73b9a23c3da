"""The step's side: starts a search, watches it, and collects its results."""
