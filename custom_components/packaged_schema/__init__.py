"""A node that passes on the schema contained in a Python package, wherever the package is installed."""

from __future__ import annotations

from custom_components.packaged_schema.component import PackagedSchema

__all__ = ["PackagedSchema"]
