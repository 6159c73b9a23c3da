"""The node as TFX runs it: its outputs, and how each limit of a search ends, in one line with the cause."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from keras_tuner import HyperParameters
from tfx import types
from tfx.types import artifact_utils, standard_artifacts
from typer.testing import CliRunner

from custom_components import console
from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.__main__ import app
from custom_components.distributed_tuner.artifacts import SearchReport
from custom_components.distributed_tuner.cluster.local import prewarm
from custom_components.distributed_tuner.cluster.local.fork_server_client import ForkServerHandle
from custom_components.distributed_tuner.executor import Executor
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import top_n
from custom_components.distributed_tuner.storage.search_dir import SearchDir
from tfx_pipeline.run import failure

ENDLESS = {"epochs": 100_000, "seconds": 0.1}


class Node:
    """One execution of the node, in a pipeline root of its own."""

    def __init__(self, root: Path) -> None:
        self._root = root / "DistributedTuner"
        self.search = SearchDir(self._root / keys.SEARCHES_DIR / "search")
        self.terminal = io.StringIO()

    def run(self, config: dict[str, Any], *, top: int = 1, workers: int = 1, **options: Any) -> None:
        outputs: dict[str, list[types.Artifact]] = {
            "tuner_results": [self._output("tuner_results", standard_artifacts.TunerResults())],
            keys.SEARCH_REPORT: [self._output(keys.SEARCH_REPORT, SearchReport())],
        }
        for rank in range(1, top + 1):
            key = keys.hyperparameters_key(rank)
            outputs[key] = [self._output(key, standard_artifacts.HyperParameters())]
        timing = {"heartbeat_seconds": 0.5, "lease_seconds": 3.0, "grace_seconds": 2.0}
        properties = {
            "tuner_fn": "user_tuners.troubled",
            "custom_config": json.dumps(config),
            "train_args": "{}",
            "eval_args": "{}",
            keys.TOP_N: top,
            keys.NUM_WORKERS: workers,
            keys.CLUSTER: '{"kind": "local"}',
            keys.OPTIONS: SearchOptions(**{**timing, **options}).to_json(),
        }
        Executor().Do({"examples": [self._examples()]}, outputs, properties)

    def values(self, rank: int = 1) -> dict[str, Any]:
        """The configuration that the node hands on."""
        text = (self._root / keys.hyperparameters_key(rank) / "1" / keys.BEST_FILE).read_text()
        values: dict[str, Any] = HyperParameters.from_config(json.loads(text)).values
        return values

    def results(self) -> list[dict[str, Any]]:
        """The rows of all completed trials."""
        rows: list[dict[str, Any]] = json.loads((self._root / "tuner_results" / "1" / keys.RESULTS_FILE).read_text())
        return rows

    def told(self) -> list[str]:
        """What the person at the terminal read of limits."""
        lines = self.terminal.getvalue().splitlines()
        return [line for line in lines if "stopped early" in line or "up to a limit" in line]

    def _output(self, key: str, artifact: types.Artifact) -> types.Artifact:
        artifact.uri = str(self._root / key / "1")
        Path(artifact.uri).mkdir(parents=True)
        return artifact

    def _examples(self) -> types.Artifact:
        made = standard_artifacts.Examples()
        made.uri = str(self._root.parent / "examples")
        made.split_names = artifact_utils.encode_split_names(["train", "eval"])
        made.set_string_custom_property("payload_format", "FORMAT_TF_EXAMPLE")
        return made


@pytest.fixture
def node(tmp_path: Path, fork_server: ForkServerHandle, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(prewarm, "server", lambda: fork_server)
    made = Node(tmp_path)
    console.use(made.terminal)
    yield made
    console.use(None)


def refused(node: Node, config: dict[str, Any], **options: Any) -> list[str]:
    """The lines that a person reads where the search found too little."""
    with pytest.raises(top_n.TooFewTrials) as error:
        node.run(config, **options)
    told = failure.explain(error.value, "DistributedTuner", node.search.root, Path("pipeline.log"), "run")
    return str(told).splitlines()


@pytest.mark.timeout(180)
def test_the_best_are_handed_on_with_all_results_and_the_report(node: Node) -> None:
    node.run({"max_trials": 4}, top=2, workers=2)
    results = node.results()
    assert [row["score"] for row in results] == sorted(row["score"] for row in results) and len(results) == 4
    for rank in (1, 2):
        row = {name: value for name, value in results[rank - 1].items() if name not in ("trial_id", "score")}
        # A conditional hyperparameter has a value in the artifact where it is not active, too.
        assert row.items() <= node.values(rank).items()
    assert (node.search.root / keys.REPORT_FILE).exists()
    assert node.terminal.getvalue().startswith(f"search: in {node.search.root}\n")
    assert node.told() == []


@pytest.mark.timeout(180)
def test_a_trial_at_its_time_limit_completes_with_its_best_epoch(node: Node) -> None:
    node.run({**ENDLESS, "max_trials": 2}, max_trial_seconds=3.0, grace_seconds=60.0)
    assert len(node.results()) == 2 and node.values()
    assert node.told() == [
        "search: 2 trials completed with the best epoch up to a limit; "
        "trial 0 cut short: it ran longer than max_trial_seconds=3"
    ]


@pytest.mark.timeout(180)
def test_a_trial_that_does_not_heed_its_time_limit_fails(node: Node) -> None:
    node.run({"max_trials": 2, "trouble": {"1": "hangs"}}, max_trial_seconds=5.0)
    assert len(node.results()) == 1
    record = node.search.read_record()
    assert record is not None
    (hanging,) = record.failed()
    assert hanging.cause.startswith("it ran longer than max_trial_seconds=5, and did not end within ")


@pytest.mark.timeout(180)
def test_a_search_at_its_time_limit_hands_on_what_it_found(node: Node) -> None:
    node.run({**ENDLESS, "max_trials": 100}, workers=2, max_search_seconds=8.0, grace_seconds=60.0)
    assert 1 <= len(node.results()) <= 2
    stopped, cut = node.told()
    assert stopped == "search: stopped early, with enough found: the search reached max_search_seconds=8"
    assert "completed with the best epoch up to a limit; trial " in cut


@pytest.mark.timeout(180)
def test_a_search_at_its_time_limit_with_nothing_found_says_so(node: Node) -> None:
    first, stopped, *trials = refused(node, {"max_trials": 9, "trouble": {"0": "hangs"}}, max_search_seconds=6.0)
    assert first.startswith(
        "DistributedTuner: the search found 0 distinct completed configurations, 1 needed (1 trials"
    )
    assert stopped == "It was stopped: the search reached max_search_seconds=6"
    assert trials[0] == "trial 0: the search reached max_search_seconds=6"


FAILS = {"1": "fails", "2": "fails", "3": "fails"}
FIRST = "ValueError: trial 1 does not like its configuration"
SCATTERED = {"1": "fails", "3": "fails"}

CASES: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "consecutive": (FAILS, {}, f"3 trials failed in a row; the first: trial 1: {FIRST}"),
    "consecutive, by option": (
        FAILS,
        {"max_consecutive_failures": 2},
        f"2 trials failed in a row; the first: trial 1: {FIRST}",
    ),
    "in all": (
        SCATTERED,
        {"max_failed_trials": 2},
        f"2 trials failed in all (max_failed_trials=2); the first: trial 1: {FIRST}",
    ),
}


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES)
def test_failed_trials_end_the_search_with_the_first_traceback(node: Node, case: str) -> None:
    trouble, options, reason = CASES[case]
    lines = refused(node, {"trouble": trouble}, top=3, **options)
    assert lines[1] == f"It was stopped: {reason}"
    begin = lines.index("trial 1: Traceback (most recent call last):")
    end = lines.index(FIRST)
    assert any("user_tuners.py" in line and "run_trial" in line for line in lines[begin:end])
    # The others by one line each.
    assert lines[end + 1].startswith("trial ") and lines[end + 1].endswith("does not like its configuration")
    assert "\n".join(lines).count("Traceback") == 1
    assert lines[-1].startswith("Ended trials stay with their run")


@pytest.mark.timeout(180)
def test_an_error_that_begins_with_a_heading_is_told_by_its_cause(node: Node) -> None:
    mislabelled = (
        "trial 0: InvalidArgumentError: Received a label value of 7 which is outside the valid range of [0, 3)"
    )
    lines = refused(node, {"max_trials": 2, "trouble": {"0": "is mislabelled", "1": "fails"}}, max_failed_trials=2)
    assert lines[1].startswith(
        f"It was stopped: 2 trials failed in all (max_failed_trials=2); the first: {mislabelled}"
    )
    told = CliRunner().invoke(app, ["status", str(node.search.root)])
    assert any(line.startswith(mislabelled) for line in told.output.splitlines()), told.output
    assert mislabelled.partition(": ")[2] in (node.search.root / keys.REPORT_FILE).read_text()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("case", CASES)
def test_failed_trials_end_the_search_and_what_was_found_is_handed_on(node: Node, case: str) -> None:
    trouble, options, reason = CASES[case]
    node.run({"trouble": trouble}, **options)
    assert node.values() and node.results()[-1]["trial_id"] in ("0", "2")
    assert node.told() == [f"search: stopped early, with enough found: {reason}"]


LOST = r"2 workers were lost (max_lost_workers=2); the last: worker worker-0 was lost: exit code 137: was killed"


@pytest.mark.timeout(180)
def test_lost_workers_end_the_search_and_what_was_found_is_handed_on(node: Node) -> None:
    node.run({"trouble": {"1": "kills"}}, max_lost_workers=2, lease_seconds=60.0)
    assert [row["trial_id"] for row in node.results()] == ["0"] and node.values()
    (told,) = node.told()
    assert told.startswith(f"search: stopped early, with enough found: {LOST}")


@pytest.mark.timeout(180)
def test_lost_workers_that_leave_too_little_are_told(node: Node) -> None:
    lines = refused(node, {"trouble": {"1": "kills"}}, top=2, max_lost_workers=2, lease_seconds=60.0)
    assert lines[1].startswith(f"It was stopped: {LOST}")
    assert lines[2].startswith("trial 1: worker worker-0 was lost: exit code 137: was killed")


@pytest.mark.timeout(180)
def test_a_stuck_trial_fails_and_the_search_goes_on(node: Node) -> None:
    lines = refused(node, {"max_trials": 3, "trouble": {"1": "hangs"}}, top=3, max_epoch_seconds=20.0)
    assert lines[0].startswith("DistributedTuner: the search found 2 distinct completed configurations, 3 needed")
    assert lines[1] == "trial 1: stuck: no epoch finished within max_epoch_seconds=20"
