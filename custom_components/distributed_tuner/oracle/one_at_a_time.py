"""Tells of an oracle that failed what its author may not have thought of: that several trials run at once."""

from __future__ import annotations

from keras_tuner.src.engine import oracle as oracle_module


def hint(oracle: oracle_module.Oracle, running: int) -> str:
    """What to add to the error of an oracle that raised while so many other trials ran; none of keras-tuner's does."""
    if not running or type(oracle).__module__.startswith("keras_tuner."):
        return ""
    trials = "another trial" if running == 1 else f"{running} other trials"
    return (
        f". That was while {trials} ran, and a trial that runs has no score yet: if {type(oracle).__name__} reads the "
        "result of the trial started last, it can have one trial at a time. Set num_workers=1 then (WORKERS=1, "
        "num_parallel_trials=1), or have it read those that have ended (oracle.end_order)"
    )
