"""A node that hands on the schema that a Python package holds, wherever the package is installed."""

from __future__ import annotations

from custom_components.packaged_schema.component import PackagedSchema

__all__ = ["PackagedSchema"]
