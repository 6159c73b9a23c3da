"""One small analysed sample for all tests of the bikes model: Transform's analysis is what takes time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from models.bikes import features, offline, training
from tfx_pipeline.data import sample_data


@pytest.fixture(scope="session")
def sample() -> pd.DataFrame:
    return sample_data.generate(600, seed=5)


@pytest.fixture(scope="session")
def transform_output(sample: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> tft.TFTransformOutput:
    """The graph analysed over the first 500 trips, some of them with holes that the analysis has to bear."""
    table = sample.iloc[:500].astype(object)
    table.loc[table.index[::50], "temp"] = None
    table.loc[table.index[::40], "prcp"] = float("nan")
    table.loc[table.index[7::60], "start_station_id"] = None
    table.loc[table.index[9::60], "loc_cross"] = "somewhere"
    return offline.analyze(table, tmp_path_factory.mktemp("transform") / "graph")


@pytest.fixture(scope="session")
def train(sample: pd.DataFrame, transform_output: tft.TFTransformOutput) -> training.Trips:
    return offline.transform(transform_output, sample.iloc[:500])


@pytest.fixture(scope="session")
def validation(sample: pd.DataFrame, transform_output: tft.TFTransformOutput) -> training.Trips:
    return offline.transform(transform_output, sample.iloc[500:])


@pytest.fixture(scope="session")
def write_split() -> Callable[[training.Trips, Path], str]:
    """Writes trips the way Transform does and returns the pattern by which TFX names them."""

    def write(trips: training.Trips, folder: Path) -> str:
        folder.mkdir(parents=True)
        options = tf.io.TFRecordOptions(compression_type="GZIP")
        with tf.io.TFRecordWriter(str(folder / "transformed_examples-00000-of-00001.gz"), options) as writer:
            for row in range(len(trips)):
                example = tf.train.Example()
                feature = example.features.feature
                feature[features.LABEL_KEY].float_list.value.extend(trips.durations[row].numpy())
                feature[features.DENSE].float_list.value.extend(trips.inputs[features.DENSE][row].numpy())
                feature[features.CATEGORIES].int64_list.value.extend(trips.inputs[features.CATEGORIES][row].numpy())
                writer.write(example.SerializeToString())
        return str(folder / "*")

    return write
