"""A client of the Kubernetes API; it knows no search."""
