"""What holds for every test: quiet libraries, and no silent skips in CI."""

from __future__ import annotations

import os

import hypothesis
import pytest

# It holds assertions, and is no module of tests itself.
pytest.register_assert_rewrite("tests.custom_components.distributed_tuner.cluster.contract")

# Before any test imports TensorFlow: its C++ side reads this once.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# How fast a busy machine draws its examples says nothing about the code.
hypothesis.settings.register_profile("project", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("project")

# The only reasons for which a test may be skipped in CI: each names something that a fresh clone cannot bring.
ALLOWED_SKIPS = ("BIKES_DATA",)

_IN_CI = os.environ.get("CI") == "true"
_unexpected: list[str] = []


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(allowed in reason for allowed in ALLOWED_SKIPS):
            _unexpected.append(f"{report.nodeid}: {reason}")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes each skipped test whose reason is not among those allowed."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Notes each module that was skipped whole, as `importorskip` does."""
    _note(report)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """In CI, where everything a test needs is installed, a skip hides a fault: fail the run."""
    if _IN_CI and _unexpected and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which skips failed the run."""
    if _IN_CI and _unexpected:
        terminalreporter.section("skipped, and CI skips nothing")
        for line in _unexpected:
            terminalreporter.line(line)
