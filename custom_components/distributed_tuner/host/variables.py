"""Names of the environment variables by which the processes of a search know themselves; none holds a secret."""

from __future__ import annotations

# A pod's own id, which tells its process from another one that bears the same worker's name.
PROCESS = "DISTRIBUTED_TUNER_PROCESS"
# A pod's number in its indexed Job: Kubernetes sets it.
INDEX = "JOB_COMPLETION_INDEX"
# Set in a process that began itself anew.
AGAIN = "DISTRIBUTED_TUNER_AGAIN"
# `off`: a worker does not look whether it has the GPUs that it was given.
GPU_CHECK = "DISTRIBUTED_TUNER_GPU_CHECK"
# The devices that CUDA shows a process; "-1" is none.
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
