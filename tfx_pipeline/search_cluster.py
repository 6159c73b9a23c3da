"""Where the search's chief and workers run, according to the settings: the component's `cluster` argument."""

from __future__ import annotations

from pathlib import Path

from custom_components.distributed_tuner import KubernetesOptions, KubernetesOptionsError, read_kubernetes_settings


def kubernetes(file: Path, image: str, root: str) -> KubernetesOptions:
    """The argument that makes chief and workers run as Kubernetes Jobs.

    Args:
      file: YAML or JSON, with the settings of `KubernetesOptions`.
      image: of chief and workers, unless the file names one.
      root: of the pipeline; contains the search directory.

    Raises:
      ValueError: the file does not exist or is not a regular one, a setting in it is unknown or out of range, or a pod
        has no volume at the pipeline root.
    """
    if file.exists() and not file.is_file():  # Opening a pipe may block for ever.
        raise ValueError("is no regular file, and a run reads it more than once; write it to a file first")
    options = KubernetesOptions.from_mapping({"image": image, **read_kubernetes_settings(file)})
    try:
        options.check_root(root)
    except KubernetesOptionsError as error:
        raise ValueError(f"{error}, or set PIPELINE_ROOT to a path on one that is there") from None
    return options
