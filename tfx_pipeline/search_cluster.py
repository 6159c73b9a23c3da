"""Where the search's chief and workers run, as the settings say it: the component's `cluster` argument."""

from __future__ import annotations

from pathlib import Path

from custom_components.distributed_tuner import KubernetesOptions, KubernetesOptionsError, read_kubernetes_settings


def kubernetes(file: Path, image: str, root: str) -> KubernetesOptions:
    """The argument that has chief and workers run as Kubernetes Jobs.

    Args:
      file: YAML or JSON, with the settings of `KubernetesOptions`.
      image: of chief and workers where the file names none.
      root: of the pipeline: the search directory is below it.

    Raises:
      ValueError: there is no such file, it is none that can be read again, a setting in it is unknown or out of its
        range, or a pod has no volume at the pipeline root.
    """
    if file.exists() and not file.is_file():  # To open a pipe may wait for ever.
        raise ValueError("is no regular file, and a run reads it more than once; write it to a file first")
    options = KubernetesOptions.from_mapping({"image": image, **read_kubernetes_settings(file)})
    try:
        options.check_root(root)
    except KubernetesOptionsError as error:
        raise ValueError(f"{error}, or set PIPELINE_ROOT to a path on one that is there") from None
    return options
