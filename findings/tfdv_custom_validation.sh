#!/usr/bin/env bash
# Guess: a custom validation of TFDV (a SQL predicate over one feature's statistics) whose feature is missing, or has
# another type than expected so that the statistic it asks for is not there, is either skipped or is itself an anomaly;
# the anomalies that the schema finds are reported in any case.
# Seen: `validate_statistics` raises RuntimeError for both ("… specified in validation config not found in statistics",
# "Validation predicate returned null"), and no anomaly is reported: the missing column and the wrong type, which the
# schema alone would tell in words, become an INTERNAL error. TFX's ExampleValidator, with its parameter
# custom_validation_config, ends with that error.
# Versions: tensorflow-data-validation 1.15.1, tfx 1.15.1, Python 3.10.
# Guard here: custom_components/anomaly_gate/validator.py asks only of columns that are there, and each predicate of
# models/bikes/schema/validations.pbtxt is within IFNULL(…, TRUE).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/uv"
"$folder/uv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9
"$folder/uv/bin/uv" venv --quiet --python "${PYTHON:-3.10}" "$folder/venv"
"$folder/uv/bin/uv" pip install --quiet --python "$folder/venv/bin/python" tensorflow-data-validation==1.15.1 \
    tensorflow-cpu==2.15.1 apache-beam==2.56.0 "setuptools<81" --override <(echo "tensorflow ; python_version < '3'")
TF_CPP_MIN_LOG_LEVEL=3 "$folder/venv/bin/python" -W ignore - <<'PYTHON'
import pandas as pd
import tensorflow_data_validation as tfdv
from google.protobuf import text_format
from tensorflow_data_validation.anomalies.proto.custom_validation_config_pb2 import CustomValidationConfig
from tensorflow_metadata.proto.v0.schema_pb2 import Schema

print("tensorflow-data-validation", tfdv.__version__)
schema = text_format.Parse(
    'feature { name: "temp" type: FLOAT presence { min_fraction: 1 } } feature { name: "rain" type: FLOAT }', Schema()
)
asked = text_format.Parse(
    """feature_validations {
         feature_path { step: "temp" }
         validations { sql_expression: "feature.num_stats.mean < 100" severity: ERROR description: "too hot" }
       }""",
    CustomValidationConfig(),
)


def told(table, config):
    statistics = tfdv.generate_statistics_from_dataframe(pd.DataFrame(table))
    try:
        found = tfdv.validate_statistics(statistics, schema, custom_validation_config=config)
    except RuntimeError as error:
        return f"RuntimeError: {error}"
    return sorted(found.anomaly_info)


missing, text = {"rain": [0.5, 1.0]}, {"temp": ["warm", "cold"], "rain": [0.5, 1.0]}
seen = [told(missing, None), told(missing, asked), told(text, None), told(text, asked)]
for line in seen:
    print(line)
assert seen[0] == ["temp"] and seen[2] == ["temp"], "the schema alone finds both"
assert "not found in statistics" in seen[1], "a missing column"
assert "predicate returned null" in seen[3], "a column of another type"
PYTHON
