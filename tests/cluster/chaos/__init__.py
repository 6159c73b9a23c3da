"""Disruptions of every kind against one search on Kubernetes: `python -m tests.cluster.chaos`."""
