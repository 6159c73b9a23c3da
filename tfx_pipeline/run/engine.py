"""The engines: TFX's runners, with the run id from the settings, and input data prepared beforehand."""

from __future__ import annotations

import sys
from typing import Any

from absl import logging
from tfx.dsl.compiler import constants
from tfx.orchestration.beam import beam_dag_runner
from tfx.orchestration.local import local_dag_runner
from tfx.orchestration.portable import runtime_parameter_utils, tfx_runner
from tfx.orchestration.tfx_runner import TfxRunner
from tfx.proto.orchestration import pipeline_pb2

from tfx_pipeline.data.inputs import prepare
from tfx_pipeline.errors import NodeFailed
from tfx_pipeline.run import launching, outcome, workspace
from tfx_pipeline.settings import Engine, Settings

# The exceptions that ended nodes. Beam only passes their text on, in an exception of its own.
_failures: list[BaseException] = []


class _SettingsRunner(tfx_runner.IrBasedRunner):
    """Adds what both of TFX's in-process runners lack: a run id chosen by the caller, so that a run can be resumed.

    Only `run_with_ir` is overridden: the tfx command line replaces `run` of TFX's classes to inspect a pipeline without
    running it.
    """

    settings: Settings

    def run_with_ir(self, pipeline: pipeline_pb2.Pipeline, run_options: Any = None, **kwargs: Any) -> None:
        """Runs the compiled pipeline under the run id of the settings, alone in its directory.

        Raises:
          NodeFailed: according to the metadata a node has failed, even if TFX's runner does not report it.
          PipelineError: the directory is busy or unusable, or the data is not fit to be read.
          BaseException: whatever a node raised.
        """
        logging.set_verbosity(logging.INFO)
        _failures.clear()
        with workspace.locked(self.settings):
            prepare(self.settings)
            workspace.remember(self.settings)
            self.settings.metadata_path.parent.mkdir(parents=True, exist_ok=True)
            # TFX substitutes the time for this parameter, unless it has a value already.
            name = constants.PIPELINE_RUN_ID_PARAMETER_NAME
            runtime_parameter_utils.substitute_runtime_parameter(pipeline, {name: self.settings.run_id})
            try:
                with launching.checked():
                    super().run_with_ir(pipeline, run_options, **kwargs)
            except Exception as error:
                if _failures:
                    raise _failures[0] from error
                raise
            for node, reason in outcome.failures(self.settings.metadata_path, self.settings.run_id).items():
                raise NodeFailed(node, reason)


class LocalRunner(_SettingsRunner, local_dag_runner.LocalDagRunner):
    """Runs the nodes one after another in this process."""


class _Node(beam_dag_runner.PipelineNodeAsDoFn):
    """A node that records the exception it ended with."""

    def _run_node(self) -> None:
        try:
            super()._run_node()
        except BaseException as error:  # Ctrl-C too: Beam turns it into a RuntimeError.
            # The module by its name: Beam pickles this class, and __main__ may be another copy.
            sys.modules["tfx_pipeline.run.engine"]._failures.append(error)
            raise


class BeamRunner(_SettingsRunner, beam_dag_runner.BeamDagRunner):
    """Runs the nodes as a Beam pipeline in this process."""

    _PIPELINE_NODE_DO_FN_CLS = _Node


def dag_runner(settings: Settings) -> TfxRunner | tfx_runner.IrBasedRunner:
    """The runner for `settings.engine`; its `run(pipeline)` runs, or for Kubeflow writes `<pipeline name>.yaml`.

    Raises:
      SettingsError: the workflow could not run on the cluster.
    """
    if settings.engine is Engine.KUBEFLOW:
        from tfx.orchestration.kubeflow import kubeflow_dag_runner

        from tfx_pipeline import kubeflow

        kubeflow.check(settings)
        config = kubeflow_dag_runner.KubeflowDagRunnerConfig(
            tfx_image=settings.kubeflow_image,
            pipeline_operator_funcs=kubeflow.changes(settings.cluster_argument),
        )
        return kubeflow_dag_runner.KubeflowDagRunner(config=config, output_filename=f"{settings.pipeline_name}.yaml")
    runner: _SettingsRunner = BeamRunner() if settings.engine is Engine.BEAM else LocalRunner()
    runner.settings = settings
    return runner
