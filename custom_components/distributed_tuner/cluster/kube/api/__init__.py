"""A client of the Kubernetes API; knows nothing of searches."""
