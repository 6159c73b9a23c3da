"""Measurements of what the project promises; each module is one, and ends with one line of JSON."""
