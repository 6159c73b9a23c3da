"""The bikes model: wide and deep, its search space, and TFX's two entry points `tuner_fn` and `run_fn`."""

from __future__ import annotations

import copy
import functools
import itertools
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import keras
import keras_tuner
import tensorflow as tf

from models.bikes import features, training
from models.bikes.options import SearchOptions, TrainOptions

if TYPE_CHECKING:
    from tfx.components.trainer.fn_args_utils import FnArgs
    from tfx.components.tuner.component import TunerFnResult

PROJECT_NAME: Final = "bikes"
OBJECTIVE: Final = keras_tuner.Objective(training.OBJECTIVE, "min")
LEARNING_RATES: Final = (5e-1, 1e-1, 5e-2, 1e-2, 5e-3, 1e-3, 5e-4, 1e-4)
DEFAULT_LEARNING_RATE: Final = 5e-3

EMBEDDING_SIZE: Final = 4
_FIRST_ROWS: Final = tuple(itertools.accumulate(features.CATEGORY_SIZES.values(), initial=0))[:-1]

_TYPICAL_DURATION = 800.0
# A unit of the network's output stands for this much of log-duration, about its standard deviation in the data.
_LOG_SPREAD = 0.8
# In the same units: predictions stay between 7 seconds and 27 hours around the typical duration, whatever a wild
# learning rate does to the weights.
_LARGEST_OUTPUT = 6.0


def default_hyperparameters() -> keras_tuner.HyperParameters:
    """The search space with its defaults, as `build_model` declares it."""
    hp = keras_tuner.HyperParameters()
    build_model(hp)
    return hp


def build_model(hp: keras_tuner.HyperParameters, typical_duration: float = _TYPICAL_DURATION) -> keras.Model:
    """The compiled network for one point of the search space.

    The wide part adds one number for each category, the deep part runs the numbers and small embeddings through hidden
    layers; their sum is a log-duration relative to `typical_duration` (layout: Cheng et al. 2016, "Wide & Deep Learning
    for Recommender Systems"). The loss is `root_error`.

    Args:
      hp: declares and supplies `hidden_layers`, `hidden_size`, `learning_rate` and what regularises.
      typical_duration: a middling duration in seconds, which the untrained network predicts.

    Returns:
      A model from what `preprocessing_fn` returns to seconds, float32 of shape [rows, 1]; metrics `mae` and `rmse` are
      in seconds.
    """
    inputs = {
        features.DENSE: keras.Input([len(features.DENSE_COMPONENTS)], name=features.DENSE),
        features.CATEGORIES: keras.Input([len(features.CATEGORY_SIZES)], name=features.CATEGORIES, dtype=tf.int64),
    }
    # One table for all categories, each with rows of its own, costs a fraction of the operations of a table each.
    rows = inputs[features.CATEGORIES] + tf.constant(_FIRST_ROWS, tf.int64)
    output = _wide(rows, hp) + _deep(inputs[features.DENSE], rows, hp)
    seconds = keras.layers.Lambda(
        functools.partial(_to_seconds, typical_duration=typical_duration), name=features.LABEL_KEY
    )(output)
    model = keras.Model(inputs, seconds, name=PROJECT_NAME)
    learning_rate = hp.Choice("learning_rate", list(LEARNING_RATES), default=DEFAULT_LEARNING_RATE)
    model.initial_learning_rate = learning_rate
    model.compile(
        # Keras's older Adam is one fused operation a variable: a trial of a few epochs starts 0.6 CPU seconds sooner.
        optimizer=keras.optimizers.legacy.Adam(learning_rate, clipnorm=10.0),
        loss=functools.partial(root_error, unit=typical_duration),
        metrics=[
            keras.metrics.MeanAbsoluteError(name="mae"),
            keras.metrics.RootMeanSquaredError(name="rmse"),
        ],
        steps_per_execution=training.STEPS_PER_CALL,
    )
    return model


def root_error(durations: tf.Tensor, predictions: tf.Tensor, unit: float) -> tf.Tensor:
    """Twice the absolute error of the square roots, of shape [rows]; near `unit`, the absolute error in units.

    The best constant is the median, as for the absolute error itself, since a root keeps the order. But the pull of a
    trip falls with its length: in seconds, a few bicycles kept for a day drown what commuters have in common; in
    logarithms, the shortest trips count for too much. On real trips the root came out best of the three.

    Args:
      durations: true durations in seconds, of shape [rows, 1].
      predictions: predicted durations in seconds, positive, of the same shape.
      unit: a typical duration in seconds.
    """
    difference = tf.sqrt(tf.maximum(durations, 0.0) / unit) - tf.sqrt(predictions / unit)
    return 2.0 * tf.reduce_mean(tf.abs(difference), axis=-1)


def _wide(rows: tf.Tensor, hp: keras_tuner.HyperParameters) -> tf.Tensor:
    effects = keras.layers.Embedding(
        _FIRST_ROWS[-1] + features.CATEGORY_SIZES[features.LOC_CROSS],
        1,
        embeddings_initializer="zeros",
        embeddings_regularizer=_category_penalty(hp),
        name="wide",
    )(rows)
    return tf.reduce_sum(effects, axis=1)


def _deep(dense: tf.Tensor, rows: tf.Tensor, hp: keras_tuner.HyperParameters) -> tf.Tensor:
    # A cross has too few trips to learn more than one number from.
    embedded = keras.layers.Embedding(
        _FIRST_ROWS[-1], EMBEDDING_SIZE, embeddings_regularizer=_category_penalty(hp), name="embedding"
    )(rows[:, :-1])
    hidden = tf.concat([dense, keras.layers.Flatten(name="embedded")(embedded)], axis=1)
    size = hp.Int("hidden_size", 16, 256, step=32, default=112)
    dropout = hp.Choice("dropout", [0.0, 0.1, 0.2], default=0.1)
    for number in range(hp.Int("hidden_layers", 2, 5, default=2)):
        hidden = keras.layers.Dense(
            size, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4), name=f"hidden_{number + 1}"
        )(hidden)
        hidden = keras.layers.Dropout(dropout, name=f"dropout_{number + 1}")(hidden)
    return keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(1e-4), name="deep")(hidden)


def _category_penalty(hp: keras_tuner.HyperParameters) -> keras.regularizers.Regularizer:
    """Holds what is learned of a category near nothing, the nearer the fewer trips it has."""
    return keras.regularizers.L2(hp.Choice("category_l2", [1e-3, 1e-2, 1e-1], default=1e-2))


def _to_seconds(output: tf.Tensor, typical_duration: float) -> tf.Tensor:
    bounded = tf.clip_by_value(output, -_LARGEST_OUTPUT, _LARGEST_OUTPUT)
    return tf.exp(math.log(typical_duration) + _LOG_SPREAD * bounded)


def tuner_fn(fn_args: FnArgs) -> TunerFnResult:
    """TFX's entry point for a search.

    `fn_args.custom_config` may hold `algorithm` (one of `options.ALGORITHMS`), `max_trials`, `epochs` of a trial (with
    Hyperband: of its longest trials), `executions_per_trial`, `batch_size` and `seed`; see `options.SearchOptions`.

    Raises:
      ValueError: an option is out of range, or a split is empty.
    """
    # TFX's component modules load slowly, and training does not need them.
    from tfx.components.tuner.component import TunerFnResult

    options = SearchOptions.from_config(fn_args.custom_config)
    keras.utils.set_random_seed(options.seed)
    train, validation = training.load(fn_args.train_files), training.load(fn_args.eval_files)
    hypermodel = functools.partial(build_model, typical_duration=train.typical_duration())
    fit_kwargs = training.fit_arguments(train, validation, options.batch_size)
    fit_kwargs |= {"epochs": options.epochs, "callbacks": [training.CosineDecay()], "verbose": 2}
    return TunerFnResult(tuner=_tuner(hypermodel, options, fn_args.working_dir), fit_kwargs=fit_kwargs)


def _tuner(
    hypermodel: Callable[[keras_tuner.HyperParameters], keras.Model], options: SearchOptions, directory: str
) -> keras_tuner.Tuner:
    common = {
        "hypermodel": hypermodel,
        "objective": OBJECTIVE,
        "seed": options.seed,
        "executions_per_trial": options.executions_per_trial,
        "directory": directory,
        "project_name": PROJECT_NAME,
    }
    if options.algorithm == "hyperband":
        tuner = keras_tuner.Hyperband(max_epochs=options.epochs, **common)
        # Hyperband takes no limit of its own, but every oracle keeps to one.
        tuner.oracle.max_trials = options.max_trials
        return tuner
    algorithms = {
        "random": keras_tuner.RandomSearch,
        "bayesian": keras_tuner.BayesianOptimization,
        "grid": keras_tuner.GridSearch,
    }
    return algorithms[options.algorithm](max_trials=options.max_trials, **common)


def run_fn(fn_args: FnArgs) -> None:
    """TFX's entry point for a full training: fits `fn_args.hyperparameters`, exports to `fn_args.serving_model_dir`.

    `fn_args.custom_config` may hold `train_epochs`, `batch_size` and `seed`; without hyperparameters the defaults of
    the search space are trained. TensorBoard's logs go to `fn_args.model_run_dir`.

    Raises:
      ValueError: an option is out of range, or a split is empty.
    """
    import tensorflow_transform as tft

    from models.bikes import serving

    options = TrainOptions.from_config(fn_args.custom_config)
    train, validation = training.load(fn_args.train_files), training.load(fn_args.eval_files)
    model = train_model(
        hyperparameters_from(fn_args.hyperparameters), train, validation, options, fn_args.model_run_dir
    )
    serving.export(model, tft.TFTransformOutput(fn_args.transform_output), fn_args.serving_model_dir)


def hyperparameters_from(config: Mapping[str, Any] | None) -> keras_tuner.HyperParameters:
    """Hyperparameters from a keras-tuner configuration; the defaults of the search space where there is none."""
    # keras-tuner puts objects into what it reads, and the configuration is the caller's.
    return keras_tuner.HyperParameters.from_config(copy.deepcopy(config)) if config else keras_tuner.HyperParameters()


def train_model(
    hyperparameters: keras_tuner.HyperParameters,
    train: training.Trips,
    validation: training.Trips,
    options: TrainOptions,
    log_dir: str | None = None,
) -> keras.Model:
    """The whole of a full training, for pipeline and benchmark alike; TensorBoard's logs go to `log_dir` if given."""
    keras.utils.set_random_seed(options.seed)
    model = build_model(hyperparameters, train.typical_duration())
    callbacks = [keras.callbacks.TensorBoard(log_dir, write_graph=False)] if log_dir else []
    training.fit(
        model, train, validation, epochs=options.train_epochs, batch_size=options.batch_size, callbacks=callbacks
    )
    return model
