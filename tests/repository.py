"""Where the tests find what is in the project, wherever they themselves lie."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
