"""Every knob of the pipeline, in one place: environment variables with their defaults and ranges.

Nothing else in the project reads the environment for its configuration. `load` turns it into a `Settings` object or
raises one `SettingsError` that lists each wrong variable with its value and what would be right.
"""

from __future__ import annotations

import datetime
import enum
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
from pydantic import Field

from custom_components.distributed_tuner import KubernetesOptions
from tfx_pipeline import search_cluster
from tfx_pipeline.errors import SettingsError
from tfx_pipeline.location import Location

PROJECT = Path(__file__).resolve().parents[1]
SCHEMA_FILE = "schema/schema.pbtxt"
VALIDATIONS_FILE = "schema/validations.pbtxt"
"""The paths of the schema, and of what else is asked of the data, in a package in models/."""

_NAME = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"


class Engine(str, enum.Enum):
    """The engine: TFX's local or Beam runner in this process, or Kubeflow Pipelines (compiled only)."""

    LOCAL = "local"
    BEAM = "beam"
    KUBEFLOW = "kubeflow"


class Source(str, enum.Enum):
    """Where the trips come from."""

    CSV = "csv"
    BIGQUERY = "bigquery"


class Algorithm(str, enum.Enum):
    """The keras-tuner algorithm of the search."""

    RANDOM = "random"
    BAYESIAN = "bayesian"
    HYPERBAND = "hyperband"
    GRID = "grid"


class Cluster(str, enum.Enum):
    """Where chief and workers of the search run: processes beside the pipeline's step, or Kubernetes Jobs."""

    LOCAL = "local"
    KUBERNETES = "kubernetes"


class Server(str, enum.Enum):
    """The model server: the project's own for development, or tensorflow/serving in a container."""

    LOCAL = "local"
    DOCKER = "docker"


def new_run_id() -> str:
    """A run id from the current time, in UTC: 20240131-235959-123."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S-%f")[:-3]


def schema_of(model: str) -> Path:
    """The path of the schema of a package in models/."""
    return PROJECT / "models" / model / SCHEMA_FILE


class _NoFileError(ValueError):
    """The value has the form of a bucket or a folder, where a file is needed."""

    code = "no_file"


class Settings(pydantic.BaseModel):
    """All settings. A field's environment variable is its name in capitals; `load` reads them."""

    # The run
    engine: Engine = Field(Engine.LOCAL, description="What runs the pipeline. `kubeflow` compiles a workflow file")
    run_id: str = Field(
        default_factory=new_run_id,
        regex=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$",
        description="Name of the run. The same id again goes on where that run stopped; default: the time",
    )
    runs_dir: Path = Field(PROJECT / "runs", description="Directory for everything that runs leave behind")
    pipeline_name: str = Field(
        "",
        regex=_NAME,
        max_length=40,
        description="Name of the pipeline; a new model is judged against the last that it blessed. Default: MODEL",
    )
    pipeline_root: Location | None = Field(
        None, description="Root of the artifacts; a bucket for Kubeflow. Default: a folder in RUNS_DIR"
    )
    model: str = Field(
        "bikes",
        regex=r"^[a-z]([a-z0-9_]*[a-z0-9])?$",
        max_length=40,
        description="The package in models/; also the served name",
    )

    # The data
    source: Source = Field(Source.CSV, description="Where the trips come from")
    data: Location | None = Field(
        None, description="CSV file with the columns of the schema. Default: a generated sample"
    )
    sample_rows: int = Field(4000, ge=200, le=10_000_000, description="Rows of the generated sample")
    sample_seed: int = Field(1, ge=0, le=2**31 - 1, description="Seed of the generated sample")
    bigquery_project: str = Field("", description="Google Cloud project that BigQuery bills; needed by SOURCE=bigquery")
    bigquery_temp: str = Field(
        "", description="Bucket folder (gs://…) for BigQuery's exports; needed by SOURCE=bigquery"
    )

    # The search
    workers: int = Field(2, ge=1, le=256, description="Workers that search at the same time")
    trials: int = Field(
        8, ge=1, le=100_000, description="Configurations that the search tries (Hyperband: as EPOCHS gives)"
    )
    epochs: int = Field(4, ge=1, le=10_000, description="Epochs of a trial (Hyperband: of its longest trials)")
    executions_per_trial: int = Field(1, ge=1, le=100, description="Trainings per configuration; their mean counts")
    algorithm: Algorithm = Field(Algorithm.RANDOM, description="Algorithm of the search")
    top_n: int = Field(2, ge=1, le=16, description="How many of the best configurations are trained in full")
    seed: int = Field(1, ge=0, le=2**31 - 1, description="Seed of the search and of the trainings")

    cluster: Cluster = Field(
        Cluster.LOCAL, description="Where chief and workers run: processes on the step's machine, or Kubernetes Jobs"
    )
    cluster_options: Path | None = Field(
        None,
        description="YAML or JSON file with the options of CLUSTER=kubernetes: image, namespace, groups of workers, "
        "volumes (docs/kubernetes.md)",
    )

    # The limits of the search
    max_search_seconds: float | None = Field(
        None, gt=0, le=30 * 86_400, description="The search ends then with what it found; default: no limit"
    )
    max_trial_seconds: float | None = Field(
        None, gt=0, le=30 * 86_400, description="A trial ends then with its best epoch so far; default: no limit"
    )
    max_epoch_seconds: float | None = Field(
        None, gt=0, le=86_400, description="A trial that finishes no epoch for so long has failed; default: no limit"
    )
    max_failed_trials: int | None = Field(
        None, ge=1, le=100_000, description="The search ends when so many trials failed; default: three in a row"
    )
    max_lost_workers: int | None = Field(
        None, ge=1, le=100_000, description="The search ends when so many workers were lost; default: no limit"
    )

    # The training
    train_epochs: int = Field(40, ge=1, le=10_000, description="Most epochs of a full training; it stops early")
    batch_size: int = Field(64, ge=1, le=65_536, description="Examples in a batch")

    # The gate
    max_mae_seconds: float = Field(
        650,
        gt=0,
        le=86_400,
        description="The gate refuses a model whose mean absolute error on the test split is above",
    )
    max_worsening_seconds: float = Field(
        0, ge=0, le=86_400, description="By how much that error may exceed the last blessed model's on the same split"
    )

    # Serving
    server: Server = Field(Server.LOCAL, description="The model server: the project's own, or tensorflow/serving")
    rest_port: int = Field(8501, ge=0, le=65_535, description="REST port of `make serve`; 0 takes any free one")
    grpc_port: int = Field(8500, ge=0, le=65_535, description="gRPC port of `make serve`; 0 takes any free one")
    tensorboard_port: int = Field(6006, ge=0, le=65_535, description="Port of `make tensorboard`; 0: any free one")

    # Kubeflow
    kubeflow_image: str = Field(
        "distributed-tuner:latest", min_length=1, description="Container image of the compiled workflow's steps"
    )

    class Config:
        """Frozen; a variable that is set but empty counts as not set."""

        frozen = True

    @pydantic.root_validator(pre=True)
    def _empty_is_unset(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return {name: value for name, value in values.items() if value != ""}

    @pydantic.validator("data", pre=True)
    def _names_a_file(cls, value: Any) -> Any:  # noqa: N805
        text = str(value)
        if text.endswith("/") or re.fullmatch(r"gs://[^/]+", text):
            what = "bucket" if re.fullmatch(r"gs://[^/]+/*", text) else "folder"
            raise _NoFileError(f"names a {what}; name the file in it, such as {text.rstrip('/')}/trips.csv")
        return value

    @pydantic.validator("runs_dir", "cluster_options")
    def _absolute(cls, value: Path | None) -> Path | None:  # noqa: N805
        return None if value is None else value.expanduser().absolute()

    @pydantic.root_validator(skip_on_failure=True)
    def _named_after_the_model(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        return {**values, "pipeline_name": values["pipeline_name"] or values["model"].replace("_", "-")}

    @pydantic.root_validator(skip_on_failure=True)
    def _agree(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        if values["top_n"] > values["trials"]:
            raise ValueError(
                f"TOP_N={values['top_n']} is more than TRIALS={values['trials']}: "
                "the best N come from the trials, so lower TOP_N or raise TRIALS"
            )
        if not schema_of(values["model"]).exists():
            raise ValueError(
                f"MODEL={values['model']}: there is no {schema_of(values['model']).relative_to(PROJECT)}; a model is a "
                "folder in models/ (README, 'Your own model')"
            )
        if values["source"] is Source.BIGQUERY:
            for name in ("bigquery_project", "bigquery_temp"):
                if not values[name]:
                    raise ValueError(f"SOURCE=bigquery needs {name.upper()}")
            if not values["bigquery_temp"].startswith("gs://"):
                raise ValueError(f"BIGQUERY_TEMP={values['bigquery_temp']!r}: must begin with gs://")
        return values

    @pydantic.root_validator(skip_on_failure=True)
    def _cluster_fits(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        file = values["cluster_options"]
        if values["cluster"] is not Cluster.KUBERNETES:
            if file is not None:
                raise ValueError(f"CLUSTER_OPTIONS={file}: is for CLUSTER=kubernetes, and CLUSTER is local")
            return values
        if file is None:
            raise ValueError(
                "CLUSTER=kubernetes needs CLUSTER_OPTIONS, a YAML file with groups of workers and volumes "
                "(docs/kubernetes.md has one)"
            )
        try:
            search_cluster.kubernetes(file, values["kubeflow_image"], _root(values))
        except ValueError as error:
            raise ValueError(f"CLUSTER_OPTIONS={file}: {error}") from None
        return values

    @pydantic.root_validator(skip_on_failure=True)
    def _no_wildcards(cls, values: dict[str, Any]) -> dict[str, Any]:  # noqa: N805
        where = "PIPELINE_ROOT" if values["pipeline_root"] else "RUNS_DIR"
        for name, path, signs in (("DATA", values["data"] or "", "*?[]\\{}"), (where, _root(values), "*?[]\\")):
            if found := sorted(set(signs) & set(path)):
                raise ValueError(f"{name}={path}: TFX takes {' '.join(found)} in a path for a pattern; rename it")
        return values

    @property
    def root(self) -> Location:
        """Pipeline root: the folder or bucket under which TFX keeps the artifacts."""
        return _root(dict(self))

    @property
    def cluster_argument(self) -> KubernetesOptions | None:
        """The component's `cluster` argument: None for this machine. The file is read each time.

        Raises:
          ValueError: the file has changed since the settings were loaded, and a setting in it is wrong.
        """
        if self.cluster_options is None:
            return None
        return search_cluster.kubernetes(self.cluster_options, self.kubeflow_image, self.root)

    @property
    def metadata_path(self) -> Path:
        """ML Metadata's SQLite file; one for each pipeline name."""
        return self.runs_dir / "metadata" / f"{self.pipeline_name}.sqlite"

    @property
    def csv(self) -> Location:
        """The CSV file to read: the user's, or the path of the generated sample."""
        return self.data or Location.of(self.runs_dir / "data" / f"sample-{self.sample_rows}-{self.sample_seed}.csv")

    @property
    def schema_path(self) -> Path:
        """The schema that the data must fit, kept beside the model that was built for it."""
        return schema_of(self.model)

    @property
    def validations_path(self) -> Path:
        """Further validations of the data, as TFDV's CustomValidationConfig in text format; the file is optional."""
        return PROJECT / "models" / self.model / VALIDATIONS_FILE

    @property
    def idle(self) -> frozenset[str]:
        """Names of the settings that have no effect given the others."""
        sample = {"sample_rows", "sample_seed"}
        if self.source is Source.BIGQUERY:
            names = {"data", *sample}
        else:
            names = {"bigquery_project", "bigquery_temp", *(sample if self.data is not None else ())}
        if self.engine is not Engine.KUBEFLOW and self.cluster is not Cluster.KUBERNETES:
            names.add("kubeflow_image")
        return frozenset(names)

    @property
    def serving_dir(self) -> str:
        """Base path of the model server: one numbered folder per pushed model."""
        home = self.root if self.engine is Engine.KUBEFLOW else str(self.runs_dir)
        return f"{home}/serving/{self.model}"

    @property
    def log_dir(self) -> Path:
        """Folder of this run's logs."""
        return self.runs_dir / "logs" / self.run_id


def _root(values: Mapping[str, Any]) -> Location:
    return values["pipeline_root"] or Location.of(values["runs_dir"] / "pipelines" / values["pipeline_name"])


def load(environment: Mapping[str, str] | None = None) -> Settings:
    """Loads the settings from `environment` (default: the process's own).

    Raises:
      SettingsError: names each invalid variable, its value and its range.
    """
    if environment is None:
        environment = os.environ
    given: dict[str, Any] = {
        name: environment[name.upper()] for name in Settings.__fields__ if name.upper() in environment
    }
    try:
        return Settings(**given)
    except pydantic.ValidationError as error:
        lines = [_explain(item, given) for item in error.errors()]
        raise SettingsError("Wrong settings:\n" + "\n".join(f"  {line}" for line in lines)) from None


def allowed(field: pydantic.fields.ModelField) -> str:
    """What a field accepts, in words: a range, the choices, a pattern or a kind."""
    info = field.field_info
    if isinstance(field.type_, type) and issubclass(field.type_, enum.Enum):
        return "one of " + ", ".join(f"`{choice.value}`" for choice in field.type_)
    if info.le is not None:
        low = f"above {info.gt:g}" if info.gt is not None else f"{info.ge:g}" if info.ge == 0 else f"{info.ge}"
        kind = "a whole number" if issubclass(field.type_, int) else "a number"
        return f"{kind}, {low} to {info.le}"
    if info.regex:
        return f"text like `{info.regex}`"
    if issubclass(field.type_, Location):
        return "a path or an address `gs://…`"
    return "a path" if issubclass(field.type_, Path) else "text"


def _explain(item: Mapping[str, Any], given: Mapping[str, Any]) -> str:
    """One wrong setting in one line, from one entry of pydantic's error list."""
    name = str(item["loc"][0])
    if name == "__root__":
        return str(item["msg"])
    if item["type"] == f"value_error.{_NoFileError.code}":
        return f"{name.upper()}={given.get(name)}: {item['msg']}"
    field = Settings.__fields__[name]
    limit = f" of at most {field.field_info.max_length} characters" if field.field_info.max_length else ""
    return f"{name.upper()}={given.get(name)!r}: must be {allowed(field)}{limit} ({field.field_info.description})"
