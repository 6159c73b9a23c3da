"""The error of a SavedModel on a split, and the choice between several."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from custom_components.model_selector import scoring
from custom_components.model_selector.scoring import SelectionError


class Constant(tf.Module):
    """Predicts one number for every example; with `outputs` 2, two."""

    def __init__(self, value: float, outputs: int = 1) -> None:
        super().__init__()
        self.value, self.outputs = value, outputs

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="examples")])
    def serve(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"duration": tf.fill([tf.shape(examples)[0], self.outputs], self.value)}


def save(folder: Path, value: float, outputs: int = 1) -> str:
    model = Constant(value, outputs)
    tf.saved_model.save(model, str(folder), signatures={"serving_examples": model.serve})
    return str(folder)


def write(path: Path, *labels: float | int | None) -> str:
    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for label in labels:
            example = tf.train.Example()
            if isinstance(label, int):
                example.features.feature["duration"].int64_list.value.append(label)
            elif label is not None:
                example.features.feature["duration"].float_list.value.append(label)
            writer.write(example.SerializeToString())
    return str(path)


def test_error_is_the_mean_over_all_files_and_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH", 2)
    files = [write(tmp_path / "a.gz", 1, 2, 3), write(tmp_path / "b.gz", 10.0, 20.0)]
    model = save(tmp_path / "model", 4.0)
    error = scoring.mean_absolute_error(model, "serving_examples", scoring.batches(files, "duration"))
    assert error == pytest.approx((3 + 2 + 1 + 6 + 16) / 5)


@pytest.mark.parametrize("label", [None, math.nan])
def test_missing_label_is_an_error_and_nan_stays_nan(tmp_path: Path, label: float | None) -> None:
    file = write(tmp_path / "a.gz", label)
    if label is None:
        with pytest.raises(SelectionError, match="holds 0 numbers in its label 'duration'"):
            list(scoring.batches([file], "duration"))
    else:
        ((_, labels),) = scoring.batches([file], "duration")
        assert np.isnan(labels).all()


def test_wrong_signature_wrong_shape_and_no_examples(tmp_path: Path) -> None:
    batches = [([b"", b""], np.array([1.0, 2.0]))]
    model = save(tmp_path / "model", 4.0)
    with pytest.raises(SelectionError, match=r"no signature 'other', only \['serving_examples'\]"):
        scoring.mean_absolute_error(model, "other", batches)
    with pytest.raises(SelectionError, match="no examples"):
        scoring.mean_absolute_error(model, "serving_examples", [])
    with pytest.raises(SelectionError, match="want one number each"):
        scoring.mean_absolute_error(save(tmp_path / "two", 4.0, outputs=2), "serving_examples", batches)


def test_best_is_the_smallest_finite_and_the_first_of_equals() -> None:
    assert scoring.best({1: 3.0, 2: 2.0, 3: 2.0}) == 2
    assert scoring.best({1: math.nan, 2: math.inf, 3: 9.0}) == 3
    with pytest.raises(SelectionError, match="No candidate has a finite error"):
        scoring.best({1: math.nan})
