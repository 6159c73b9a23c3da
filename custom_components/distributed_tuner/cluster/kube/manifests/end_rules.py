"""Which ends of a pod its Job does not count, and which none of its pods can be saved from."""

from __future__ import annotations

from custom_components.distributed_tuner.errors import ExitCode

#: The condition of a pod that ends by no fault of its own; the Jobs do not count such ends.
DISRUPTED = "DisruptionTarget"
#: Ends that no other start mends. Besides our own: options that the program in the image does not know, and no such
#: program.
FATAL_CODES = frozenset({2, int(ExitCode.FATAL), int(ExitCode.CANNOT_STORE), 127})
