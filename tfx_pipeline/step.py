"""A step of the compiled workflow: TFX's own entry point, except that a node that TFX merely records as failed raises.

`python -m tfx_pipeline.step`, with TFX's arguments.
"""

from __future__ import annotations

import sys

from tfx.orchestration.kubeflow import container_entrypoint

from tfx_pipeline import errors
from tfx_pipeline.run import launching


def main(arguments: list[str]) -> None:
    """Runs one node.

    Raises:
      SystemExit: the node has failed, and only the metadata show it.
      BaseException: whatever the node raised.
    """
    with errors.told(), launching.checked():
        container_entrypoint.main(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
