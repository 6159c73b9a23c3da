"""Pod ends that a Job does not count as failures, and those that no restart can fix."""

from __future__ import annotations

from custom_components.distributed_tuner.errors import ExitCode

#: The condition of a pod that ended through no fault of its own; the Jobs do not count such ends.
DISRUPTED = "DisruptionTarget"
#: Exit codes that no restart fixes: our own, plus options that the program in the image does not know, and a missing
#: program.
FATAL_CODES = frozenset({2, int(ExitCode.FATAL), int(ExitCode.CANNOT_STORE), 127})
