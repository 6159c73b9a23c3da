"""Where the search's chief and workers run, as the settings say it: the component's `cluster` argument."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cluster.kube.settings import options as kube_options
from custom_components.distributed_tuner.cluster.kube.settings.options import KubernetesOptions, KubernetesOptionsError

LOCAL: Mapping[str, Any] = {"kind": keys.LOCAL_KIND}


def kubernetes(file: Path, image: str, root: str) -> dict[str, Any]:
    """The argument that has chief and workers run as Kubernetes Jobs.

    Args:
      file: YAML or JSON, with the settings of `KubernetesOptions`.
      image: of chief and workers where the file names none.
      root: of the pipeline: the search directory is below it.

    Raises:
      ValueError: there is no such file, a setting in it is unknown or out of its range, or a pod has no volume at the
        pipeline root.
    """
    try:
        values = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text: {error.reason}") from None
    except yaml.YAMLError as error:
        raise ValueError(f"is neither YAML nor JSON: {' '.join(str(error).split())}") from None
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ValueError(f"must hold names and values, such as `image: …`, got {type(values).__name__}")
    if values.get("kind", kube_options.KIND) != kube_options.KIND:
        raise ValueError(f"kind: {values['kind']!r} is another cluster's; CLUSTER chooses it")
    chosen = {"kind": kube_options.KIND, "image": image, **values}
    try:
        options = KubernetesOptions.from_mapping(chosen)
    except KubernetesOptionsError as error:
        raise ValueError(str(error)) from None
    try:
        options.check_root(root)
    except KubernetesOptionsError as error:
        raise ValueError(f"{error}, or set PIPELINE_ROOT to a path on one that is there") from None
    # What differs from the defaults, as JSON: the compiled workflow carries it on a command line.
    return {"kind": kube_options.KIND, **json.loads(options.to_json())}
