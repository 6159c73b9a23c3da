"""What changes on the cluster while a search runs."""
