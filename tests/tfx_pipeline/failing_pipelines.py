"""Small pipelines in which TFX fails a node and says nothing of it.

`python failing_pipelines.py` runs the one that FAILING names, as `runner.py` runs the project's: TFX's command line
takes this file, too.
"""

# No annotations from __future__: TFX reads those of a component when it is made.
import os
from collections.abc import Callable

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.control_flow.for_each import ForEach
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.types import Channel, channel
from tfx.types.standard_artifacts import Integer, Model

from tfx_pipeline import errors, pipeline, settings
from tfx_pipeline.run import engine


@component
def Make(made: OutputArtifact[Integer]) -> None:  # noqa: N802
    """Makes something."""
    made.set_int_custom_property("size", 1)


@component
def Take(taken: InputArtifact[Integer]) -> None:  # noqa: N802
    """Takes what Make has made."""


@component
def Change(taken: InputArtifact[Integer], made: OutputArtifact[Integer]) -> None:  # noqa: N802
    """Makes one of another."""


@component
def Judge(model: InputArtifact[Model]) -> None:  # noqa: N802
    """Takes a model."""


@component
def MakeModel(model: OutputArtifact[Model]) -> None:  # noqa: N802
    """Makes a model."""


def nothing_to_resolve() -> list[BaseNode]:
    """A Resolver that finds nothing."""
    latest = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=Model)).with_id("Latest")
    judge = Judge(model=latest.outputs["model"])
    last = Make().with_id("Last")
    last.add_upstream_node(judge)
    return [latest, judge, last]


def outside_of_a_condition() -> list[BaseNode]:
    """A consumer of what a condition has left out."""
    made = Make().with_id("Made")
    with Cond(made.outputs["made"].future()[0].custom_property("size") > 5):
        inside = Change(taken=made.outputs["made"]).with_id("Inside")
    outside = Take(taken=inside.outputs["made"]).with_id("Outside")
    return [made, inside, outside]


def several_in_a_loop() -> list[BaseNode]:
    """A loop over two artifacts."""
    made = [Make().with_id(name) for name in ("One", "Other")]
    with ForEach(channel.union([node.outputs["made"] for node in made])) as each:
        looped = Take(taken=each).with_id("Looped")
    return [*made, looped]


def nothing_fails() -> list[BaseNode]:
    """A Resolver of the same name that finds something."""
    made = MakeModel().with_id("First")
    latest = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=Model)).with_id("Latest")
    latest.add_upstream_node(made)
    return [made, latest, Judge(model=latest.outputs["model"])]


PIPELINES: dict[str, Callable[[], list[BaseNode]]] = {
    "resolver": nothing_to_resolve,
    "condition": outside_of_a_condition,
    "loop": several_in_a_loop,
    "well": nothing_fails,
}

FAILURES = {
    "resolver": (
        "Latest",
        "LatestArtifactStrategy found no artifact that an earlier node or run has made; it looks for Model",
    ),
    "condition": ("Outside", "min_count = 1 but only got 0 artifacts"),
    "loop": ("Looped", "more than one input dict"),
}
"""By pipeline, the node that fails and a part of TFX's reason."""


def create(current: settings.Settings, kind: str) -> Pipeline:
    """One of `PIPELINES`."""
    return Pipeline(
        pipeline_name=current.pipeline_name,
        pipeline_root=current.root,
        components=PIPELINES[kind](),
        metadata_connection_config=pipeline.metadata_config(current),
    )


if __name__ == "__main__":
    with errors.told():
        chosen = settings.load()
        engine.dag_runner(chosen).run(create(chosen, os.environ["FAILING"]))
