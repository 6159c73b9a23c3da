"""What ModelSelector does when it runs."""

from __future__ import annotations

import json
from typing import Any

from absl import logging
from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from custom_components.model_selector import scoring

EXAMPLES = "examples"
CANDIDATE = "model_"
MODEL = "model"
LABEL_KEY = "label_key"
SIGNATURE = "signature"
SPLIT = "split"

# Custom properties of the output artifact.
PROPERTY_CANDIDATE = "candidate"
PROPERTY_MAE = "mae"
PROPERTY_SCORES = "scores"


class Executor(base_executor.BaseExecutor):
    """Scores each candidate and copies the best one to the output."""

    def Do(  # noqa: N802  (the name is TFX's)
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Reads the named split of `examples` once for each candidate.

        Raises:
          scoring.SelectionError: no candidate can be chosen.
        """
        uri = artifact_utils.get_split_uri(input_dict[EXAMPLES], exec_properties[SPLIT])
        files = sorted(fileio.glob(io_utils.all_files_pattern(uri)))
        label_key, signature = exec_properties[LABEL_KEY], exec_properties[SIGNATURE]
        candidates = {
            int(key.removeprefix(CANDIDATE)): artifact_utils.get_single_instance(artifacts)
            for key, artifacts in input_dict.items()
            if key.startswith(CANDIDATE) and artifacts
        }
        scores = {}
        for number, model in sorted(candidates.items()):
            directory = path_utils.serving_model_path(model.uri)
            scores[number] = scoring.mean_absolute_error(directory, signature, scoring.batches(files, label_key))
            logging.info("Candidate %d (%s): mean absolute error %.6g", number, model.uri, scores[number])
        chosen = scoring.best(scores)
        output = artifact_utils.get_single_instance(output_dict[MODEL])
        io_utils.copy_dir(
            path_utils.serving_model_path(candidates[chosen].uri), path_utils.serving_model_dir(output.uri)
        )
        output.set_int_custom_property(PROPERTY_CANDIDATE, chosen)
        output.set_float_custom_property(PROPERTY_MAE, scores[chosen])
        output.set_string_custom_property(PROPERTY_SCORES, json.dumps(scores))
        logging.info("Candidate %d is the best of %d", chosen, len(scores))
