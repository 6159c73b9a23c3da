"""A node that hands on the schema that a Python package holds, wherever the package is installed."""
