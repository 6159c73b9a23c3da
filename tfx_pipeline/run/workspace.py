"""The directory of the runs: whether it is usable and free, and what settings a run with this id began with."""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import filelock

from tfx_pipeline.errors import BusyError, SettingsError, StorageError
from tfx_pipeline.location import Location
from tfx_pipeline.settings import Settings

MIN_FREE_BYTES = 300 * 2**20  # A run on the sample leaves about a tenth of this behind.
STORAGE_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
# Settings that may differ when a run is resumed: they choose where and how it runs, not what comes out.
_FREE_TO_CHANGE = {
    *("engine", "runs_dir", "workers", "cluster", "cluster_options"),
    *("server", "rest_port", "grpc_port", "tensorboard_port"),
}


def check_usable(directory: Path, min_free: int = MIN_FREE_BYTES) -> None:
    """Checks that `directory` exists, is writable and has `min_free` bytes left.

    Raises:
      StorageError: says what is wrong and what to do.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x" * 4096)
    except OSError as error:
        raise storage_error(error, directory) from None
    free = shutil.disk_usage(directory).free
    if free < min_free:
        raise StorageError(
            f"{directory}: only {free // 2**20} MB are free there and a run needs {min_free // 2**20} MB; "
            "make room, or choose another directory with RUNS_DIR=…"
        )


def shown(place: Path | Location) -> str:
    """A path as people prefer it: relative if it is below the working directory; an address unchanged."""
    if isinstance(place, Location) and place.remote:
        return place
    path = Path(place)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def storage_error(error: OSError, directory: Path) -> StorageError:
    """Turns a file system error into an error for people.

    Args:
      error: what the file system raised.
      directory: what was being used.
    """
    path = error.filename or directory
    advice = "make room" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "mend that"
    return StorageError(f"{path}: cannot be written: {error.strerror}; {advice}, or choose another with RUNS_DIR=…")


@contextlib.contextmanager
def locked(settings: Settings) -> Iterator[None]:
    """Locks the directory for this process; reentrant within a thread.

    Raises:
      BusyError: another process holds it; says which and since when.
      StorageError: the directory cannot be used.
    """
    check_usable(settings.runs_dir)
    holder = settings.runs_dir / "run.json"
    lock = filelock.FileLock(settings.runs_dir / "run.lock", timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BusyError(f"A run is already going on in {settings.runs_dir}{_describe(holder)}") from None
    try:
        if lock.lock_counter == 1:
            now = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
            _write_json(holder, {"run_id": settings.run_id, "pid": os.getpid(), "since": now})
        yield
    finally:
        lock.release()


def _describe(holder: Path) -> str:
    try:
        facts = json.loads(holder.read_text(encoding="utf-8"))
        return f": run {facts['run_id']} since {facts['since']}, process {facts['pid']}"
    except (OSError, ValueError, KeyError, TypeError):  # The holder is about to write it.
        return ""


def remember(settings: Settings) -> None:
    """Records the settings of the run; a rerun of its id must have the same ones, and so must its pipeline.

    Finished nodes of a run are not run again, so other settings would mix two runs into one.

    Raises:
      SettingsError: the id was used with other settings, or the pipeline's name or root belongs to another model; names
        the differences.
    """
    _check_own(settings)
    path = settings.log_dir / "settings.json"
    now = json.loads(settings.json(exclude=_FREE_TO_CHANGE | settings.idle | {"run_id"}))
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        # A setting that is not in both was idle at one of the two times, because of another one that is reported here.
        changed = [
            f"{name.upper()} was {before[name]!r}, now {value!r}"
            for name, value in now.items()
            if name in before and before[name] != value
        ]
        if changed:
            raise SettingsError(
                f"Run {settings.run_id} was begun with other settings: {'; '.join(changed)}. "
                "Go on with the same ones, or leave RUN_ID out for a new run"
            )
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, path.parent) from None
    _write_json(path, now)


def _check_own(settings: Settings) -> None:
    """Checks that the pipeline belongs to this model: its new models are judged against its blessed one."""
    owner = settings.metadata_path.with_suffix(".json")
    if owner.exists():
        model = json.loads(owner.read_text(encoding="utf-8"))["model"]
        if model != settings.model:
            raise SettingsError(
                f"PIPELINE_NAME={settings.pipeline_name} is the pipeline of MODEL={model} in {settings.runs_dir}: "
                f"MODEL={settings.model} would be judged against its models. Leave PIPELINE_NAME out, or choose another"
            )
    root = Path(settings.root)  # Not checked in a bucket: there it is not a folder.
    if not settings.metadata_path.exists() and root.is_dir() and any(root.iterdir()):
        # TFX names an artifact's folder after its number in the metadata.
        raise SettingsError(
            f"{root} (PIPELINE_ROOT) holds artifacts of another pipeline, or of metadata that is gone: "
            f"{settings.metadata_path} does not exist, so this run would number its own over them. Choose an empty "
            "folder, or move that one away"
        )
    try:
        owner.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(error, owner.parent) from None
    _write_json(owner, {"model": settings.model})


def _write_json(path: Path, value: object) -> None:
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(value, indent=2), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise storage_error(error, path) from None
