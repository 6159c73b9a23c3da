"""`python -m custom_components.distributed_tuner`: looks at a running or finished search without disturbing it.

On Kubernetes it scales a search too, and it is what the chief's and the workers' containers run.
"""

from __future__ import annotations

import io
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from custom_components.distributed_tuner import keys
from custom_components.distributed_tuner.cli import kubernetes, quiet, record_reader
from custom_components.distributed_tuner.cli.kubernetes import NamespaceOption
from custom_components.distributed_tuner.cli.record_reader import StoredRecord
from custom_components.distributed_tuner.cli.terminal import fail, say
from custom_components.distributed_tuner.cluster.kube.manifests import names
from custom_components.distributed_tuner.errors import CorruptState, SearchError
from custom_components.distributed_tuner.record import costs, formatting, progress_line
from custom_components.distributed_tuner.record.costs import Price
from custom_components.distributed_tuner.record.record import SearchRecord, TrialStatus
from custom_components.distributed_tuner.rpc.presence import Presence

if TYPE_CHECKING:
    from custom_components.distributed_tuner.cluster.kube.running import Running

# Modules that only one command needs are imported by that command: looking at a search must not wait for all of them.
app = typer.Typer(help=__doc__, no_args_is_help=True, add_completion=False)

SearchArgument = Annotated[
    str,
    typer.Argument(
        metavar="SEARCH",
        help="The search directory, on this machine or gs://…; or the name of a search that runs on Kubernetes",
    ),
]

_WIDE = 400
_NOT_SEEN = {
    Presence.ABSENT: "nobody serves it now, no chief answers. A run that lives starts its chief again within seconds; "
    "where none does, the same run id goes on with the search",
    Presence.UNKNOWN: "its chief is not on this machine, so that nobody here can tell whether it lives. On Kubernetes "
    "the command `members` tells it",
}


@app.command()
def status(search: SearchArgument, namespace: NamespaceOption = None) -> None:
    """Where the search stands, whether somebody serves it now, what it cost where prices are set, and failed trials.

    Of one on Kubernetes, by its name: its chief and workers too.
    """
    if not names.is_search(search):
        found = _read(search)
        _tell(search, found, _who_serves(search, found.record))
        return
    from custom_components.distributed_tuner.cluster.kube import running

    seen = kubernetes.look_up(search, namespace)
    stored = _stored(seen)
    if stored is not None:
        _tell(seen.directory, stored, _serves(seen, stored.record))
    elif seen.progress is not None:
        say("{search} (by its chief's log, as of {0} there): {1}".format(*seen.progress, search=search))
    else:
        say(f"{search}: its chief has not told yet how the trials stand")
    for member in seen.members:
        say(running.line(member))
    if stored is None:
        say(seen.elsewhere)


def _stored(seen: Running) -> StoredRecord | None:
    """The search's record, None if it cannot be read from here."""
    if not seen.readable:
        return None
    try:
        return record_reader.read(seen.directory)
    except (CorruptState, ValueError, OSError) as error:
        typer.echo(f"{seen.directory} cannot be read from here: {error}", err=True)
        return None


def _serves(seen: Running, record: SearchRecord) -> Presence:
    return Presence.SERVED if seen.chief_runs and record.ended is None else Presence.ABSENT


def _tell(search_dir: str, found: StoredRecord, serves: Presence) -> None:
    record, now = found.record, time.time()
    moment = _known_until(found, serves, now)
    line = progress_line.line(record, moment, 0 if serves is Presence.ABSENT else record.count(TrialStatus.RUNNING))
    say(f"{record.name} ({_state(record, serves)}): {line}")
    if record.ended is None and serves in _NOT_SEEN:
        say(f"last change {formatting.duration(max(0.0, now - found.stored))} ago: {_NOT_SEEN[serves]}")
    if record.stop_reason:
        say(f"stopped: {record.stop_reason}")
    if record.ran_out:
        say(f"ended early: {record.ran_out}")
    for notice in record.notices:
        say(f"note: {notice}")
    if cost := costs.line(costs.by_group(record, _prices(search_dir), moment)):
        say(cost)
    for trial in record.failed():
        say(f"trial {trial.trial_id}: {trial.cause}")


@app.command()
def leaderboard(
    search: SearchArgument,
    limit: Annotated[int, typer.Option(min=1, help="How many configurations to show.")] = 10,
    namespace: NamespaceOption = None,
) -> None:
    """The best distinct configurations."""
    import rich.console

    from custom_components.distributed_tuner.report import text

    page = io.StringIO()
    console = rich.console.Console(file=page, force_terminal=sys.stdout.isatty() or None)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        # A file or a pipe has no width, and would get the default of 80 columns.
        console.width = _WIDE
    console.print(text.leaderboard(_read(_directory(search, namespace)).record, limit))
    say(page.getvalue().removesuffix("\n"))


@app.command()
def report(
    search: SearchArgument,
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path(keys.REPORT_FILE),
    namespace: NamespaceOption = None,
) -> None:
    """Writes the report as one HTML file that needs no network."""
    from custom_components.distributed_tuner.report import html

    if names.is_search(search):
        seen = _readable(search, namespace)
        search_dir, found = seen.directory, _read(seen.directory)
        serves = _serves(seen, found.record)
    else:
        search_dir, found = search, _read(search)
        serves = _who_serves(search, found.record)
    page = html.render_html(
        found.record,
        generated_at=_known_until(found, serves, time.time()),
        state=None if found.record.ended is not None else _state(found.record, serves),
        prices=_prices(search_dir),
    )
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise typer.BadParameter(f"{out} cannot be written: {error.strerror}", param_hint="--out") from error
    say(f"report: {out.resolve()}")


@app.command()
def join(
    search_dir: Annotated[str, typer.Argument(metavar="SEARCH_DIR", help="The search directory, on this machine.")],
) -> None:
    """Adds a worker to a search that runs on this machine, until the search is over or Ctrl-C.

    Run it from the folder where the search was started, as the same user.
    """
    if "://" in search_dir:
        fail(
            f"{search_dir} is not on this machine: workers join by hand where the search directory is, because its "
            "token is there for the user who started the search alone"
        )
    from custom_components.distributed_tuner.host.afresh import Start
    from custom_components.distributed_tuner.process import guest, main, pod

    start = Start.of_this_program()
    quiet.libraries()
    main.set_up_logging()
    try:
        code = guest.join(Path(search_dir).absolute(), again=start.again)
    except (SearchError, ValueError) as error:
        fail(str(error))
    pod.leave(code, start)


@app.command(hidden=True)
def chief(
    search_dir: Annotated[str, typer.Argument(metavar="SEARCH_DIR")],
    credentials: Annotated[Path, typer.Option(help="The folder with token, certificate and key.")],
    port: Annotated[int, typer.Option(help="To listen on.")],
    attempt: Annotated[str, typer.Option(help="The same for all chiefs of one attempt at the search.")],
    lock_seconds: Annotated[float, typer.Option(help="How long an earlier chief is waited for.")],
    linger_seconds: Annotated[float, typer.Option(help="How long to stay after the end of the search.")],
    deserted_seconds: Annotated[float, typer.Option(help="How long to stay when neither step nor workers call.")],
) -> None:
    """The chief's container; for a cluster to start."""
    from custom_components.distributed_tuner.process import main, pod

    main.set_up_logging()
    code = pod.chief(
        search_dir,
        credentials,
        port=port,
        attempt=attempt,
        lock_seconds=lock_seconds,
        linger_seconds=linger_seconds,
        deserted_seconds=deserted_seconds,
    )
    pod.leave(code)


@app.command(hidden=True)
def worker(
    search_dir: Annotated[str, typer.Argument(metavar="SEARCH_DIR")],
    credentials: Annotated[Path, typer.Option(help="The folder with token and the chief's authority.")],
    chief: Annotated[str, typer.Option(help="HOST:PORT of the chief.")],
    group: Annotated[str, typer.Option(help="The group that the worker belongs to.")],
    gpus: Annotated[int, typer.Option(help="How many GPUs the group asks for.")] = 0,
) -> None:
    """A worker's container; for a cluster to start."""
    from custom_components.distributed_tuner.host.afresh import Start
    from custom_components.distributed_tuner.process import main, pod

    start = Start.of_this_program()
    main.set_up_logging()
    pod.leave(pod.worker(search_dir, credentials, address=chief, group=group, gpus=gpus), start)


kubernetes.add_to(app)


def _directory(search: str, namespace: str | None) -> str:
    """The search directory: the argument itself, or that of the search of this name."""
    return _readable(search, namespace).directory if names.is_search(search) else search


def _readable(search: str, namespace: str | None) -> Running:
    """The search of this name, whose directory can be read from here."""
    seen = kubernetes.look_up(search, namespace)
    if not seen.readable:
        fail(f"{seen.elsewhere}. `status {search}` tells from here how far it is")
    return seen


def _known_until(found: StoredRecord, serves: Presence, now: float) -> float:
    """The time up to which the record applies: without a chief, open stays may have lasted only to the last change."""
    return now if serves is Presence.SERVED or found.record.ended is not None else found.stored


def _read(search_dir: str) -> StoredRecord:
    try:
        found = record_reader.read(search_dir)
    except (CorruptState, ValueError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{search_dir} cannot be read: {error}")
    if found is None:
        fail(
            f"{search_dir} holds no search, or one whose chief has not started yet (there is no record.json). "
            f"Searches are under PIPELINE_ROOT/DistributedTuner/{keys.SEARCHES_DIR}/RUN_ID"
        )
    return found


def _who_serves(search_dir: str, record: SearchRecord) -> Presence:
    if record.ended is not None:
        return Presence.ABSENT
    try:
        return record_reader.who_serves(search_dir)
    except OSError as error:
        fail(f"{search_dir} cannot be read: {error}")


def _state(record: SearchRecord, serves: Presence) -> str:
    if record.ended is not None:
        return "ended"
    return {Presence.SERVED: "running", Presence.ABSENT: "interrupted"}.get(serves, "running, or interrupted")


def _prices(search_dir: str) -> dict[str, Price]:
    """The prices that the search was set up with; empty if they cannot be read, so that the search is still shown."""
    try:
        return record_reader.prices(search_dir)
    except (CorruptState, OSError) as error:
        typer.echo(f"the cost is not known: {error}", err=True)
        return {}


if __name__ == "__main__":
    app()
