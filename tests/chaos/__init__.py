"""Faults of every kind against real searches with real processes: `python -m tests.chaos`, see docs/search.md."""
