"""What the hyperparameters of a trial may be, and what is said of those that are none."""

from __future__ import annotations

import json
from typing import Any

import keras_tuner as kt
import pytest

from custom_components.distributed_tuner.space import trial_values


def config(*entries: Any, **values: Any) -> dict[str, Any]:
    """Hyperparameters with these entries behind one of their own."""
    space = kt.HyperParameters()
    space.Int("units", 1, 100)
    own = space.get_config()
    return {"space": [*own["space"], *entries], "values": {**own["values"], **values}}


def entry(kind: str, **fields: Any) -> dict[str, Any]:
    """An entry as keras-tuner stores it, wrong as it may be."""
    numbers: dict[str, Any] = {"min_value": 0, "max_value": 3, "step": None, "sampling": "linear", "default": None}
    usual = {"Int": numbers, "Float": numbers, "Choice": {"ordered": False, "default": None}}.get(kind, {})
    return {"class_name": kind, "config": {"name": "n", "conditions": [], **usual, **fields}}


def condition(**fields: Any) -> dict[str, Any]:
    """A condition as keras-tuner stores it."""
    return {"class_name": "Parent", "config": {"name": "units", "values": [1], **fields}}


def test_whatever_keras_tuner_lets_a_user_declare_is_taken() -> None:
    space = kt.HyperParameters()
    space.Int("a", 1, 8, step=2, sampling="log")
    space.Int("b", 1, 8, sampling="reverse_log")
    space.Float("c", 1e-5, 1e-1, sampling="log", default=0.0)
    space.Float("d", -1.0, 1.0, step=0.3)
    space.Choice("e", [1.0, float("inf")])
    space.Choice("f", ["adam", "sgd"], default="sgd")
    space.Choice("g", [True, False])
    space.Fixed("h", "caf\u00e9")
    with space.conditional_scope("f", ["adam"]):
        space.Boolean("i", default=True)
    met = json.loads(json.dumps(space.get_config()))
    met["values"] |= {"epochs": 3, "a": 2.5, "e": float("nan"), "f": "another", "i": 10**300}
    assert trial_values.fault_of_config(met) is None


@pytest.mark.parametrize(
    ("met", "words"),
    [
        (None, "no configuration of keras-tuner's HyperParameters"),
        ({"space": []}, "no configuration of keras-tuner's HyperParameters"),
        ({"space": [], "values": [1]}, "values are list, not values by their names"),
        ({"space": None, "values": {}}, "not such as keras-tuner has"),
        ({"space": ["Int"], "values": {}}, "not such as keras-tuner has"),
        (config(layers=[64, 32]), "hyperparameter 'layers' has the value [64, 32] of type list"),
        (config(layers="\ud800"), r"hyperparameter 'layers' has the value '\ud800' of type str"),
        (config(**{"\ud800": 1}), r"name of a hyperparameter is '\ud800', not a text of Unicode"),
        (config(entry("Choice", values=["a", "b", "\ud800"])), r"values of hyperparameter 'n': '\ud800'"),
        (config(entry("Fixed", value="\ud800")), r"of hyperparameter 'n': '\ud800'"),
        (config(entry("Int", name="\ud800")), r"name of a hyperparameter is '\ud800', not a text of Unicode"),
        (config(units=None), "hyperparameter 'units' has the value None"),
        (config(units=10**400), "hyperparameter 'units' has the value 1000"),
        (config(entry("Unknown")), "Unknown object"),
        (config(entry("Int", name=5)), "the name of a hyperparameter is 5, not a text"),
        (config(entry("Boolean", name=["n"])), "not such as keras-tuner has"),
        (config(entry("Int", step=0)), "ZeroDivisionError"),
        (config(entry("Int", max_value=10**400)), "not such as keras-tuner has"),
        (config(entry("Float", min_value=-1e308, max_value=1e308)), "the values of hyperparameter 'n': nan is nothing"),
        (config(entry("Float", max_value=float("inf"))), "the values of hyperparameter 'n': nan is nothing to try"),
        (config(entry("Float", step=0.0)), "ZeroDivisionError"),
        (config(entry("Float", default=[1])), "the default of hyperparameter 'n': [1] is nothing to try"),
        (config(entry("Choice", values=[[1], [2]])), "not such as keras-tuner has"),
        (config(entry("Choice", values=[1, 10**400], default=1)), "the values of hyperparameter 'n': 1000"),
        (config(entry("Fixed", value=10**400)), "the default of hyperparameter 'n': 1000"),
        (
            config(entry("Boolean", conditions=[condition(values=[1.0, {}])])),
            "the condition on 'units' of hyperparameter",
        ),
        (config(entry("Boolean", conditions=[condition(name=["units"])])), "on ['units'], not on a name"),
        (config(entry("Boolean", conditions="units")), "not such as keras-tuner has"),
    ],
)
def test_what_no_trial_could_be_run_with_is_told(met: Any, words: str) -> None:
    fault = trial_values.fault_of_config(met)
    assert fault is not None and words in fault and len(fault) < 1_000


def test_what_is_nested_without_end_is_told_as_well() -> None:
    deep: Any = 1
    for _ in range(900):
        deep = [deep]
    for met in (config(units=deep), config(entry("Fixed", value=deep)), {"space": deep, "values": {}}):
        assert trial_values.fault_of_config(met) is not None


def test_defaults_stand_for_values_as_far_as_they_are_active() -> None:
    conditional = entry("Boolean", name="wide", default=True, conditions=[condition(values=[7])])
    found = trial_values.with_defaults(config(entry("Choice", values=["a", "b"]), conditional, layers=[64, 32]))
    assert found["values"] == {"units": 1, "n": "a"}
    assert [each["config"]["name"] for each in found["space"]] == ["units", "n", "wide"]
