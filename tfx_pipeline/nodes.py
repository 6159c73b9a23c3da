"""Ids of the nodes whose outputs are looked up by name."""

from __future__ import annotations

from typing import Final

EXAMPLES: Final = "ExampleGen"
SEARCH: Final = "DistributedTuner"
TRAINER: Final = "Trainer_"
"""Followed by the rank of the configuration, 1 for the best."""

SELECTOR: Final = "ModelSelector"
GATE: Final = "Evaluator"
PUSHER: Final = "Pusher"
