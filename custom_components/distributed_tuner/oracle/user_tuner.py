"""Builds the user's tuner inside a chief or a worker."""

from __future__ import annotations

import contextlib
import inspect
import json
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from keras_tuner.src.engine import base_tuner, hypermodel
from keras_tuner.src.engine import tuner as tuner_module
from keras_tuner.src.tuners import hyperband

from custom_components.distributed_tuner.errors import SearchError, describe, storable
from custom_components.distributed_tuner.oracle import directions, environment
from custom_components.distributed_tuner.record import cause
from custom_components.distributed_tuner.space import entry_values
from custom_components.distributed_tuner.spec import SearchSpec
from custom_components.distributed_tuner.storage import search_dir


class UserCodeError(SearchError):
    """`tuner_fn` raised or called `sys.exit`, or did not return what it should."""

    def __init__(self, message: str, trace: str = "") -> None:
        super().__init__(storable(message))
        self.trace = storable(trace)


class Built(NamedTuple):
    """What `tuner_fn` made.

    Attributes:
      tuner: the tuner.
      fit_kwargs: the arguments for its `search`.
      notices: messages about what differs from the user's code, or from keras-tuner's own behavior.
    """

    tuner: base_tuner.BaseTuner
    fit_kwargs: dict[str, Any]
    notices: tuple[str, ...] = ()


def build(spec: SearchSpec, working_dir: Path | str, *, process: str, populate: bool) -> Built:
    """Calls the user's `tuner_fn`.

    Args:
      spec: the search.
      working_dir: `fn_args.working_dir`, the same for chief and workers.
      process: the id of this chief or worker.
      populate: whether the tuner explores its search space by building models, as a chief must and a worker need not.

    Returns:
      What it made.

    Raises:
      UserCodeError: the function raised, called `sys.exit`, or returned something else, or no checkpoint could be read
        from its tuner's folder.
    """
    path = spec.exec_properties.get("tuner_fn") or spec.exec_properties.get("module_file") or "tuner_fn"
    try:
        with _in_search(str(working_dir), process, populate=populate) as notices:
            result = _function(spec)(_arguments(spec, working_dir))
    except SystemExit as error:
        raise UserCodeError(f"{path} called sys.exit ({describe(error)})", traceback.format_exc()) from error
    except BaseException as error:
        # KeyboardInterrupt too: SIGINT raises none in a chief or worker.
        raise UserCodeError(f"{path} raised {cause.of_error(error)}", traceback.format_exc()) from error
    tuner, fit_kwargs = getattr(result, "tuner", None), getattr(result, "fit_kwargs", None)
    if not isinstance(tuner, base_tuner.BaseTuner) or not isinstance(fit_kwargs, dict):
        raise UserCodeError(
            f"{path} returned {type(result).__name__}; it must return tfx.components.TunerFnResult(tuner=…, "
            f"fit_kwargs={{…}}) with a keras-tuner Tuner (it had tuner={type(tuner).__name__}, "
            f"fit_kwargs={type(fit_kwargs).__name__})"
        )
    try:
        search_dir.check_readable(f"{tuner.directory}/{tuner.project_name}", "the tuner's project folder")
    except SearchError as error:
        raise UserCodeError(f"{path}: {error}") from error
    return Built(tuner, fit_kwargs, tuple(dict.fromkeys(notices)))


def check_space(tuner: base_tuner.BaseTuner) -> None:
    """Checks that a tuner that builds models has something to tune.

    Raises:
      UserCodeError: the space is empty.
    """
    if not tuner.oracle.get_space().space and tuner.hypermodel is not None and not _may_ask_in_trials(tuner):
        raise UserCodeError(
            "the search space is empty: the model-building function asked for no hyperparameter (hp.Int, hp.Float, "
            "hp.Choice, hp.Boolean), so there is nothing to tune"
        )


def _may_ask_in_trials(tuner: base_tuner.BaseTuner) -> bool:
    """Whether user code runs in a trial apart from building the model, and may ask for hyperparameters there."""
    trials = [getattr(type(tuner), name, None) for name in ("run_trial", "_build_and_fit_model")]
    stock = (tuner_module.Tuner.run_trial, hyperband.Hyperband.run_trial, tuner_module.Tuner._build_and_fit_model)
    own_fit = type(tuner.hypermodel).fit is not hypermodel.HyperModel.fit
    return own_fit or any(method not in stock for method in trials)


def _function(spec: SearchSpec) -> Any:
    # Imported here: a search outside TFX (a plain function, no artifacts) starts seconds earlier without it.
    from tfx.components.util import udf_utils

    return udf_utils.get_fn(spec.exec_properties, "tuner_fn")


def _arguments(spec: SearchSpec, working_dir: Path | str) -> Any:
    from tfx.components.trainer import fn_args_utils
    from tfx.utils import json_utils

    if spec.inputs:
        return fn_args_utils.get_common_fn_args(json_utils.loads(spec.inputs), spec.exec_properties, str(working_dir))
    config = json.loads(spec.exec_properties.get("custom_config") or "null")
    return fn_args_utils.FnArgs(working_dir=str(working_dir), custom_config=config)


@contextlib.contextmanager
def _in_search(working_dir: str, process: str, *, populate: bool) -> Iterator[list[str]]:
    """Keeps a tuner that is being built inside the search's directory, and away from the search's shared state.

    `overwrite=True` would empty the project folder under a running chief; `overwrite=False` would load files that the
    chief is writing. The chief restores the state itself, and a worker has none. A tuner without a directory would use
    the process's working directory, where no other machine and no later run finds it.

    Yields:
      A list of messages about what differs from the user's code.
    """
    base = base_tuner.BaseTuner
    construct, explore, reload = base.__init__, base._populate_initial_space, base.reload
    signature = inspect.signature(construct)

    def construct_keeping(self: Any, *args: Any, **kwargs: Any) -> None:
        given = signature.bind(self, *args, **kwargs)
        given.arguments["overwrite"] = False
        if not given.arguments.get("directory"):
            given.arguments["directory"] = working_dir
            name = given.arguments.get("project_name") or "untitled_project"
            notices.append(
                f"the tuner was made without a directory: its files are in {working_dir}/{name}, with the search, and "
                f"not in ./{name}; directory=fn_args.working_dir says the same"
            )
        construct(*given.args, **given.kwargs)

    def reload_nothing(self: Any) -> None:
        if populate:
            self._populate_initial_space()

    base.__init__, base.reload = construct_keeping, reload_nothing
    if not populate:
        base._populate_initial_space = lambda self: None
    try:
        with (
            environment.tuner_id(process),
            directions.settled() as notices,
            entry_values.defaults_fitted(notices.append),
        ):
            yield notices
    finally:
        base.__init__, base._populate_initial_space, base.reload = construct, explore, reload
