"""What Argo Workflows has for the tests of the compiled workflow, built once from Go modules (`make test-kubeflow`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness.cluster.kubernetes import build
from tests.harness.cluster.kubernetes.errors import HarnessError


@pytest.fixture(scope="session")
def argolint() -> Path:
    """Argo's own linter, strict and without a server: prints what is wrong with a workflow, and ends with status 1."""
    try:
        return build.programs(build.ARGO_LINT)["argolint"]
    except HarnessError as error:
        pytest.fail(f"Argo's linter cannot be built here: {error}", pytrace=False)
