"""A node that picks the best of several trained models by their error on one split."""

from __future__ import annotations

from custom_components.model_selector.component import ModelSelector
from custom_components.model_selector.scoring import SelectionError

__all__ = ["ModelSelector", "SelectionError"]
