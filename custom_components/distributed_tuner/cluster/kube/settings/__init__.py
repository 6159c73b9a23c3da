"""What a user sets for a search on Kubernetes, checked."""
