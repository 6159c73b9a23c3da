"""How a trial ended, as a worker or the chief itself reports it to the oracle."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from custom_components.distributed_tuner.oracle.suggester import Report
from custom_components.distributed_tuner.rpc import messages, schema
from custom_components.distributed_tuner.space import trial_values


@dataclasses.dataclass(frozen=True)
class TrialEnd:
    """A trial's end, which may be stored before it is judged.

    Attributes:
      succeeded: whether it ran to its end; then `reports` hold the objective.
      retry: whether one that did not succeed may be retried.
      dropped: whether its tuner deliberately ended it without a score.
      reports: its metrics, in order.
      message: why it did not succeed.
      hyperparameters: its `HyperParameters.get_config()` as the worker left it, None if that is unusable.
      cut: why it ended before its last epoch, if it did.
    """

    succeeded: bool
    retry: bool = False
    dropped: bool = False
    reports: Sequence[Report] = ()
    message: str | None = None
    hyperparameters: Mapping[str, Any] | None = None
    cut: str | None = None

    @classmethod
    def told(cls, message: messages.Finish) -> TrialEnd:
        """The end that a worker reports."""
        reports = [Report(step, metrics) for step, metrics in message.reports]
        return cls(
            succeeded=message.succeeded,
            retry=message.retry,
            dropped=message.dropped,
            reports=reports,
            message=message.message,
            hyperparameters=message.hyperparameters,
            cut=message.cut,
        )

    @classmethod
    def failure(cls, reason: str) -> TrialEnd:
        """A failure reported by the chief itself, without retry."""
        return cls(succeeded=False, message=reason)

    def to_json(self) -> dict[str, Any]:
        """The end as JSON-able data, for the journal."""
        return {**vars(self), "reports": [[report.step, report.metrics] for report in self.reports]}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> TrialEnd:
        """Undoes `to_json`; what an earlier version stored has no `cut` and no `dropped`.

        Raises:
          ValueError: it cannot be judged (earlier versions accepted such ends).
        """
        try:
            reports = [Report(step, metrics) for step, metrics in schema.reports(stored["reports"], "reports")]
            hyperparameters = stored["hyperparameters"]
            succeeded, retry = stored["succeeded"], stored["retry"]
        except KeyError as error:
            raise ValueError(f"it has no {error}") from error
        if not isinstance(succeeded, bool) or not isinstance(retry, bool):
            raise ValueError("it does not say whether the trial succeeded")
        if hyperparameters is not None and (fault := trial_values.fault_of_config(hyperparameters)) is not None:
            raise ValueError(fault)
        return cls(
            succeeded=succeeded,
            retry=retry,
            dropped=bool(stored.get("dropped", False)),
            reports=reports,
            message=stored.get("message"),
            hyperparameters=hyperparameters,
            cut=stored.get("cut"),
        )
