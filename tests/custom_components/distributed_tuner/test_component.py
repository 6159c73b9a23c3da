"""What a pipeline's author writes: DistributedTuner takes what TFX's Tuner takes, and refuses what it refuses."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

import pytest
from tfx import v1 as tfx
from tfx.types import channel_utils, standard_artifacts

from custom_components.distributed_tuner.component import DistributedTuner
from custom_components.distributed_tuner.options import SearchOptions

EXAMPLES = channel_utils.as_channel([standard_artifacts.Examples()])
SCHEMA = channel_utils.as_channel([standard_artifacts.Schema()])
TRANSFORM_GRAPH = channel_utils.as_channel([standard_artifacts.TransformGraph()])
MODEL = channel_utils.as_channel([standard_artifacts.Model()])

ACCEPTED: dict[str, dict[str, Any]] = {
    "a module file": {"examples": EXAMPLES, "module_file": "module.py"},
    "a function": {"examples": EXAMPLES, "tuner_fn": "module.tuner_fn"},
    "everything": {
        "examples": EXAMPLES,
        "schema": SCHEMA,
        "transform_graph": TRANSFORM_GRAPH,
        "base_model": MODEL,
        "tuner_fn": "module.tuner_fn",
        "train_args": tfx.proto.TrainArgs(splits=["a", "b"], num_steps=3),
        "eval_args": tfx.proto.EvalArgs(splits=["c"], num_steps=2),
        "tune_args": tfx.proto.TuneArgs(num_parallel_trials=3),
        "custom_config": {"list": [1, 2.5, "text", None], "nested": {"deep": True}},
    },
}

REFUSED: dict[str, dict[str, Any]] = {
    "no examples": {"tuner_fn": "module.tuner_fn"},
    "no function": {"examples": EXAMPLES},
    "two functions": {"examples": EXAMPLES, "module_file": "module.py", "tuner_fn": "module.tuner_fn"},
    "a channel of another type": {"examples": SCHEMA, "tuner_fn": "module.tuner_fn"},
    "no channel": {"examples": "examples", "tuner_fn": "module.tuner_fn"},
    "the other arguments": {"examples": EXAMPLES, "tuner_fn": "f", "train_args": tfx.proto.EvalArgs()},
    "no arguments": {"examples": EXAMPLES, "tuner_fn": "f", "eval_args": 5},
    "no path": {"examples": EXAMPLES, "module_file": 5},
    "a set": {"examples": EXAMPLES, "tuner_fn": "f", "custom_config": {"a": {1, 2}}},
    "an unknown name": {"examples": EXAMPLES, "tuner_fn": "f", "hyperparameters": MODEL},
}


def outcome(make: Callable[..., Any], given: dict[str, Any]) -> type[BaseException]:
    with pytest.raises(Exception) as error:
        make(**given)
    return error.type


def plain(hint: Any) -> Any:
    """A type hint however it is spelt: `Dict[str, Any]` is `dict[str, Any]`, `Optional[X]` is `X | None`."""
    arguments = tuple(plain(each) for each in typing.get_args(hint))
    return (typing.get_origin(hint), arguments) if typing.get_origin(hint) is dict else (frozenset(arguments) or hint)


def test_it_takes_the_same_parameters_in_the_same_order_with_the_same_types_and_defaults() -> None:
    stock = inspect.signature(tfx.components.Tuner).parameters
    ours = inspect.signature(DistributedTuner).parameters
    shared = list(ours.values())[: len(stock)]
    assert [(each.name, each.kind, each.default) for each in shared] == [
        (each.name, each.kind, each.default) for each in stock.values()
    ]
    expected, found = (typing.get_type_hints(c.__init__) for c in (tfx.components.Tuner, DistributedTuner))
    assert {name: plain(found[name]) for name in stock} == {name: plain(expected[name]) for name in stock}
    own = list(ours.values())[len(stock) :]
    assert own and all(each.kind is each.KEYWORD_ONLY and each.default is not each.empty for each in own)


@pytest.mark.parametrize("case", ACCEPTED)
def test_what_is_given_reaches_the_node_as_with_the_stock_tuner(case: str) -> None:
    stock, ours = tfx.components.Tuner(**ACCEPTED[case]), DistributedTuner(**ACCEPTED[case])
    assert dict(ours.inputs) == dict(stock.inputs)
    assert {name: ours.exec_properties[name] for name in stock.exec_properties} == stock.exec_properties
    for key, channel in stock.outputs.items():
        assert (ours.outputs[key].type, ours.outputs[key].output_key) == (channel.type, channel.output_key)
    assert set(ours.outputs) - set(stock.outputs) == {"search_report"}
    # What TFX packages the user's module with.
    assert len(ours._pip_dependencies) == len(stock._pip_dependencies)


@pytest.mark.parametrize("case", REFUSED)
def test_what_the_stock_tuner_refuses_is_refused_in_the_same_way(case: str) -> None:
    assert outcome(DistributedTuner, REFUSED[case]) is outcome(tfx.components.Tuner, REFUSED[case])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"top_n": 0}, "top_n must be at least 1, got 0"),
        ({"top_n": 3, "max_trials": 2}, "top_n=3 configurations cannot come of max_trials=2"),
        ({"num_workers": 0}, "num_workers must be at least 1, got 0"),
        ({"cluster": {"kind": "slurm"}}, "cluster: kind 'slurm'; known are 'local' and 'kubernetes'"),
        ({"cluster": {"kind": "local", "image": "x"}}, "cluster: image: not a setting of the local cluster"),
    ],
)
def test_what_is_wrong_with_its_own_parameters_is_told_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError) as error:
        DistributedTuner(examples=EXAMPLES, tuner_fn="module.tuner_fn", **given)
    assert str(error.value) == f"DistributedTuner: {words}"


def test_the_number_of_workers_is_that_of_tune_args_where_it_is_left_out() -> None:
    given = {
        "examples": EXAMPLES,
        "tuner_fn": "module.tuner_fn",
        "tune_args": tfx.proto.TuneArgs(num_parallel_trials=3),
    }
    assert DistributedTuner(**given).exec_properties["num_workers"] == 3
    assert DistributedTuner(**given, num_workers=5, options=SearchOptions()).exec_properties["num_workers"] == 5


def test_each_of_the_best_has_an_output_of_its_own() -> None:
    outputs = DistributedTuner(examples=EXAMPLES, tuner_fn="module.tuner_fn", top_n=3).outputs
    best = {key: channel.type for key, channel in outputs.items() if key.startswith("best_hyperparameters")}
    assert best == dict.fromkeys(
        ["best_hyperparameters", "best_hyperparameters_2", "best_hyperparameters_3"], standard_artifacts.HyperParameters
    )
