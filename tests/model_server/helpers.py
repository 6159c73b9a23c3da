"""Small SavedModels whose answers can be told by hand, and waiting for a condition."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

STATIONS = ("Bank", "Kew", "Soho")
MODEL_NAME = "bikes"
# Long enough for TensorFlow's import while other tests keep the processors busy.
START_SECONDS = 60.0


def eventually(condition: Callable[[], T], what: str, seconds: float = 30.0) -> T:
    """What `condition` gives once it is true; fails the test after the deadline."""
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.02)
    return result


def seconds_for(factor: float, distance: float, hour: int, station: str, rain: bool) -> float:
    """What the saved model answers, for numbers that 32-bit floats hold exactly."""
    return factor * distance + hour + (STATIONS.index(station) if station in STATIONS else -1) + (100 if rain else 0)


def save_model(directory: Path, factor: float) -> None:
    """Saves a model that answers `seconds_for`.

    Signatures: `serving_default` (four raw inputs, one output), `detailed` (four inputs, three outputs: a column, text
    and bytes), `single` (one input), `examples` (serialized tf.Examples), `total` (an output without a batch) and
    `halves` (16-bit floats).
    The stations come from a vocabulary file among the model's assets, as those of Transform do.
    """
    import tensorflow as tf

    vocabulary = directory.parent / f"vocabulary-{directory.name}.txt"
    vocabulary.write_text("\n".join(STATIONS) + "\n")

    class Trip(tf.Module):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.factor = tf.Variable(factor, dtype=tf.float32)
            self.table = tf.lookup.StaticHashTable(
                tf.lookup.TextFileInitializer(
                    str(vocabulary),
                    tf.string,
                    tf.lookup.TextFileIndex.WHOLE_LINE,
                    tf.int64,
                    tf.lookup.TextFileIndex.LINE_NUMBER,
                ),
                -1,
            )

        def duration(self, distance: Any, hour: Any, station: Any, rain: Any) -> Any:
            rest = hour + self.table.lookup(station) + tf.where(rain, tf.constant(100, tf.int64), 0)
            return distance * self.factor + tf.cast(rest, tf.float32)[:, tf.newaxis]

    model = Trip()
    raw = (
        tf.TensorSpec([None, 1], tf.float32, "distance"),
        tf.TensorSpec([None], tf.int64, "hour"),
        tf.TensorSpec([None], tf.string, "station"),
        tf.TensorSpec([None], tf.bool, "rain"),
    )

    @tf.function(input_signature=raw)
    def serving_default(distance, hour, station, rain):  # type: ignore[no-untyped-def]
        return {"seconds": model.duration(distance, hour, station, rain)}

    @tf.function(input_signature=raw)
    def detailed(distance, hour, station, rain):  # type: ignore[no-untyped-def]
        return {
            "seconds": model.duration(distance, hour, station, rain)[:, 0],
            "label": tf.strings.join(["to ", station]),
            "station_bytes": station,
        }

    @tf.function(input_signature=(tf.TensorSpec([None], tf.float32, "x"),))
    def single(x):  # type: ignore[no-untyped-def]
        return {"y": x * model.factor}

    @tf.function(input_signature=(tf.TensorSpec([None], tf.float32, "x"),))
    def total(x):  # type: ignore[no-untyped-def]
        return {"sum": tf.reduce_sum(x)}

    @tf.function(input_signature=(tf.TensorSpec([None], tf.string, "examples"),))
    def examples(examples):  # type: ignore[no-untyped-def]
        features = tf.io.parse_example(
            examples,
            {
                "distance": tf.io.FixedLenFeature([1], tf.float32),
                "hour": tf.io.FixedLenFeature([], tf.int64),
                "station": tf.io.FixedLenFeature([], tf.string, default_value=""),
                "rain": tf.io.FixedLenFeature([], tf.int64),
            },
        )
        return {
            "seconds": model.duration(features["distance"], features["hour"], features["station"], features["rain"] > 0)
        }

    halves_signature = (tf.TensorSpec([None], tf.float16, "half"), tf.TensorSpec([None], tf.bfloat16, "bfloat16"))

    @tf.function(input_signature=halves_signature)
    def halves(half, bfloat16):  # type: ignore[no-untyped-def]
        return {"half": half * 2, "bfloat16": bfloat16 * 2}

    signatures = [serving_default, detailed, single, total, examples, halves]
    tf.saved_model.save(model, str(directory), signatures={function.__name__: function for function in signatures})
    vocabulary.unlink()


def publish(model: Path, base_path: Path, version: int) -> Path:
    """Puts a copy of a model into the base path in one move."""
    draft = base_path.parent / f"draft-{version}"
    shutil.copytree(model, draft)
    base_path.mkdir(parents=True, exist_ok=True)
    return draft.rename(base_path / str(version))
