"""Runs DistributedTuner: a thin layer between TFX's artifacts and `search.run`."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils, standard_component_specs
from tfx.utils import io_utils, json_utils

from custom_components import console
from custom_components.distributed_tuner import encoding, keys
from custom_components.distributed_tuner.cluster import choice
from custom_components.distributed_tuner.cluster.kube.manifests.names import SearchName
from custom_components.distributed_tuner.options import SearchOptions
from custom_components.distributed_tuner.record import costs, formatting, top_n
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import SearchRecord, TrialRecord
from custom_components.distributed_tuner.record.record_json import record_to_json
from custom_components.distributed_tuner.report import html
from custom_components.distributed_tuner.search import run
from custom_components.distributed_tuner.search.progress_display import ProgressDisplay
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage import BUCKET_SCHEME
from custom_components.distributed_tuner.storage.search_dir import LOGS, SearchDir

_LOG = logging.getLogger(__name__)

_INTO_CONFIG = (keys.MAX_TRIALS, keys.EPOCHS)
_OWN = (*_INTO_CONFIG, keys.TOP_N, keys.NUM_WORKERS, keys.CLUSTER, keys.OPTIONS)


class Executor(base_executor.BaseExecutor):
    """Searches, then writes the top N, all results and the report."""

    def Do(  # noqa: N802
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """See `base_executor.BaseExecutor.Do`.

        Raises:
          SearchError: the search could not be run, or completed too few configurations.
          ClusterError: the cluster rejected the search.
        """
        directory = SearchDir(_search_root(output_dict, self._run_id()))
        kubernetes = choice.from_json(exec_properties[keys.CLUSTER])
        prices = kubernetes.prices() if kubernetes is not None else {}
        spec = _spec(input_dict, exec_properties, prices, name=self._run_id())
        workers = int(exec_properties[keys.NUM_WORKERS])
        print(f"search: in {directory.url}", file=console.stream(), flush=True)
        with run.cancellable(), ProgressDisplay() as display:
            found = run.run(
                spec,
                directory,
                choice.make(kubernetes, directory, spec.options, self._search_name(), workers),
                workers=workers,
                watch=display.update,
                tell=display.tell,
            )
        count = int(exec_properties[keys.TOP_N])
        _write_report(found, spec, directory, output_dict, count)
        try:
            chosen = top_n.choose(found.record, count, found.error)
        except top_n.TooFewTrials as error:
            raise top_n.TooFewTrials(
                f"{error}\nThe search's report: {directory.storage.where(keys.REPORT_FILE)}\n"
                f"Logs of chief and workers: {directory.storage.where(LOGS)}"
            ) from None
        _write_results(found, chosen, output_dict)
        _tell_limits(found.record)
        _tell_cost(found.record, spec)

    def _run_id(self) -> str:
        run_id = self._context.pipeline_run_id if self._context else None
        return keys.search_folder(run_id or "search")

    def _search_name(self) -> SearchName:
        context = self._context
        pipeline = context.pipeline_info.id if context and context.pipeline_info else ""
        node = context.pipeline_node.node_info.id if context and context.pipeline_node else ""
        return SearchName(pipeline or "pipeline", self._run_id(), node or "DistributedTuner")


def _search_root(output_dict: dict[str, list[types.Artifact]], run_id: str) -> Path | str:
    """`<pipeline root>/<node>/searches/<run id>`: unlike TFX's own folders, a retry of the run finds it again."""
    uri = artifact_utils.get_single_uri(output_dict[standard_component_specs.TUNER_RESULTS_KEY])
    if uri.startswith(BUCKET_SCHEME):
        return "/".join([*uri.rstrip("/").split("/")[:-2], keys.SEARCHES_DIR, run_id])
    return Path(uri).parents[1].absolute() / keys.SEARCHES_DIR / run_id


def _spec(
    inputs: dict[str, list[types.Artifact]], exec_properties: dict[str, Any], prices: dict[str, Price], *, name: str
) -> SearchSpec:
    config = json_utils.loads(exec_properties.get(standard_component_specs.CUSTOM_CONFIG_KEY) or "null")
    set_here = {key: int(exec_properties[key]) for key in _INTO_CONFIG if exec_properties.get(key) is not None}
    if set_here:
        config = {**(config or {}), **set_here}
    properties = {key: value for key, value in exec_properties.items() if key not in _OWN}
    properties[standard_component_specs.CUSTOM_CONFIG_KEY] = json_utils.dumps(config)
    options = SearchOptions.from_json(exec_properties.get(keys.OPTIONS))
    return SearchSpec(
        name=name,
        inputs=json_utils.dumps(inputs),
        exec_properties=properties,
        options=options,
        prices=prices,
    )


def _write_report(
    found: run.Found,
    spec: SearchSpec,
    directory: SearchDir,
    output_dict: dict[str, list[types.Artifact]],
    count: int,
) -> None:
    folder = artifact_utils.get_single_uri(output_dict[keys.SEARCH_REPORT])
    report = html.render_html(found.record, generated_at=time.time(), top_n=count, prices=spec.prices)
    io_utils.write_string_file(f"{folder}/{keys.RECORD_FILE}", encoding.dumps(record_to_json(found.record)))
    io_utils.write_string_file(f"{folder}/{keys.REPORT_FILE}", report)
    # TFX deletes the outputs of an execution that fails, but a failed search's report is the one to look at.
    directory.storage.write(keys.REPORT_FILE, report.encode())


def _write_results(
    found: run.Found, chosen: Sequence[TrialRecord], output_dict: dict[str, list[types.Artifact]]
) -> None:
    for rank, trial in enumerate(chosen, start=1):
        folder = artifact_utils.get_single_uri(output_dict[keys.hyperparameters_key(rank)])
        config = top_n.without_internals(found.trials[trial.trial_id]["hyperparameters"])
        io_utils.write_string_file(f"{folder}/{keys.BEST_FILE}", json.dumps(config))
    folder = artifact_utils.get_single_uri(output_dict[standard_component_specs.TUNER_RESULTS_KEY])
    io_utils.write_string_file(f"{folder}/{keys.RESULTS_FILE}", json.dumps(top_n.results(found.record)))


def _tell_limits(record: SearchRecord) -> None:
    """A search that found enough is no failure, but whoever set a limit, or wanted more, should know why it ended."""
    lines = []
    if record.stop_reason:
        lines.append(f"search: stopped early, with enough found: {record.stop_reason}")
    if record.ran_out:
        of_max = f" of {record.max_trials:,}" if record.max_trials is not None else ""
        lines.append(f"search: ended early, after {len(record.trials):,}{of_max} trials: {record.ran_out}")
    cut = record.cut_short()
    if cut:
        trials = formatting.plural(len(cut), "trial")
        lines.append(
            f"search: {trials} completed with the best epoch up to a limit; trial {cut[0].trial_id} {cut[0].cause}"
        )
    for line in lines:
        _LOG.warning("%s", line)
        print(line, file=console.stream(), flush=True)


def _tell_cost(record: SearchRecord, spec: SearchSpec) -> None:
    line = costs.line(costs.by_group(record, spec.prices, time.time()))
    if line:
        print(f"search: {line}", file=console.stream(), flush=True)
