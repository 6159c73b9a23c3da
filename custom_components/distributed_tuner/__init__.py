"""A TFX Tuner that searches with many workers, and loses nothing when some of them die."""

from __future__ import annotations

__version__ = "0.1.0"
