"""Whoever asks what is measured: simulated workers, clients of servers, and what counts their requests."""
