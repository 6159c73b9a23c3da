"""ModelSelector: of N trained models, passes on the one with the smallest error on the eval split.

The choice uses the eval split, so that the gate after it can judge the chosen model on examples that neither training
nor selection have seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from custom_components.model_selector import executor

MAX_CANDIDATES = 16  # A TFX component's inputs are fixed when its class is written.


def _input_name(number: int) -> str:
    return f"{executor.CANDIDATE}{number}"


class ModelSelectorSpec(component_spec.ComponentSpec):
    """Takes examples and up to MAX_CANDIDATES models; outputs one model."""

    PARAMETERS: ClassVar = {
        executor.LABEL_KEY: component_spec.ExecutionParameter(type=str),
        executor.SIGNATURE: component_spec.ExecutionParameter(type=str),
        executor.SPLIT: component_spec.ExecutionParameter(type=str),
    }
    INPUTS: ClassVar = {
        executor.EXAMPLES: component_spec.ChannelParameter(type=standard_artifacts.Examples),
        **{
            _input_name(number): component_spec.ChannelParameter(type=standard_artifacts.Model, optional=True)
            for number in range(1, MAX_CANDIDATES + 1)
        },
    }
    OUTPUTS: ClassVar = {executor.MODEL: component_spec.ChannelParameter(type=standard_artifacts.Model)}


class ModelSelector(base_component.BaseComponent):
    """Picks by mean absolute error, computed through a serving signature on raw examples.

    Output `model`: a copy of the chosen model as an artifact of its own, which an Evaluator can bless and a Pusher can
    push. Its custom properties record the choice: `candidate` (1 is the first), `mae` (in the label's unit) and
    `scores` (JSON: candidate to mae).
    """

    SPEC_CLASS = ModelSelectorSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(executor.Executor)

    def __init__(
        self,
        examples: types.BaseChannel,
        models: Sequence[types.BaseChannel],
        label_key: str,
        signature: str = "serving_examples",
        split: str = "eval",
    ) -> None:
        """Takes the candidates; a tie goes to the earliest.

        Args:
          examples: raw examples with a split of the given name.
          models: 1 to MAX_CANDIDATES channels of Model.
          label_key: name of the feature that holds the true value, a number.
          signature: the models' signature that takes a batch of serialized tf.Examples.
          split: the split on which the models are compared.

        Raises:
          ValueError: no model, or too many.
        """
        if not 1 <= len(models) <= MAX_CANDIDATES:
            raise ValueError(f"ModelSelector takes 1 to {MAX_CANDIDATES} models, not {len(models)}")
        candidates = {_input_name(number): model for number, model in enumerate(models, start=1)}
        properties = {executor.LABEL_KEY: label_key, executor.SIGNATURE: signature, executor.SPLIT: split}
        output = types.Channel(type=standard_artifacts.Model)
        super().__init__(
            spec=ModelSelectorSpec(**{executor.EXAMPLES: examples, executor.MODEL: output}, **candidates, **properties)
        )
