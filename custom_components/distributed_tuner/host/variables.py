"""Names of the environment variables that identify the processes of a search; none holds a secret."""

from __future__ import annotations

# A pod's own id, which distinguishes its process from another one with the same worker name.
PROCESS = "DISTRIBUTED_TUNER_PROCESS"
# A pod's index in its Indexed Job, set by Kubernetes.
INDEX = "JOB_COMPLETION_INDEX"
# Set in a process that has restarted itself.
AGAIN = "DISTRIBUTED_TUNER_AGAIN"
# `off`: a worker does not check that it has the GPUs that it was given.
GPU_CHECK = "DISTRIBUTED_TUNER_GPU_CHECK"
# The devices that CUDA shows to a process; "-1" is none.
VISIBLE_GPUS = "CUDA_VISIBLE_DEVICES"
