"""Faults of every kind against real searches with real processes: `python -m tests.harness.chaos` (docs/search.md)."""
