"""The user's settings for a search on Kubernetes, validated."""
