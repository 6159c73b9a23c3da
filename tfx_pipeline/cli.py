"""The command line: `python -m tfx_pipeline COMMAND`; its settings are environment variables (docs/settings.md)."""

from __future__ import annotations

import subprocess
import sys
import webbrowser

import typer

from tfx_pipeline import errors, settings, settings_table
from tfx_pipeline.errors import ExitCode, PipelineError
from tfx_pipeline.run.workspace import shown

app = typer.Typer(help=__doc__, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command()
def run() -> None:
    """Runs the whole pipeline, from trips to a prediction; the same RUN_ID again goes on."""
    from tfx_pipeline.run import run as command

    with errors.told():
        code = command.run(settings.load())
    raise typer.Exit(int(code))


@app.command()
def serve() -> None:
    """Keeps a server of the last blessed model up, until ctrl-C; it takes over new versions by itself."""
    from tfx_pipeline.run import serving

    with errors.told():
        current = settings.load()
        with serving.start(current, rest_port=current.rest_port, grpc_port=current.grpc_port) as server:
            typer.echo(f"Serving {server.model_name} version {server.served_version()}, until ctrl-C:")
            typer.echo(
                f"  REST {server.model_url}:predict\n  gRPC {server.grpc_address}\n  log  {shown(server.log_file)}"
            )
            try:
                status = server.wait()
            except KeyboardInterrupt:
                raise typer.Exit(int(ExitCode.OK)) from None
        raise PipelineError(f"The model server ended with status {status}. Its log: {server.log_file}")


@app.command()
def tensorboard() -> None:
    """Shows the logs of all searches and trainings in TensorBoard, until ctrl-C."""
    with errors.told():
        current = settings.load()
        where = ["--logdir", current.root, "--host", "127.0.0.1", "--port", str(current.tensorboard_port)]
        try:
            code = subprocess.call([sys.executable, "-m", "tensorboard.main", "serve", *where])
        except KeyboardInterrupt:
            code = 0
    raise typer.Exit(code)


@app.command()
def report() -> None:
    """Opens the report of a search in the browser: of RUN_ID, or of the last run that has one."""
    from tfx_pipeline import reports

    with errors.told():
        path = reports.find(settings.load())
        typer.echo(str(path))
        webbrowser.open(path.as_uri())


@app.command(name="settings")
def settings_command(
    write: bool = typer.Option(False, "--write", help="Write it into the documentation instead."),
) -> None:
    """Prints the table of all settings in Markdown."""
    if write:
        settings_table.DOCUMENT.parent.mkdir(parents=True, exist_ok=True)
        settings_table.DOCUMENT.write_text(settings_table.markdown(), encoding="utf-8")
        readme = settings_table.README.read_text(encoding="utf-8")
        settings_table.README.write_text(settings_table.readme(readme), encoding="utf-8")
    else:
        typer.echo(settings_table.markdown(), nl=False)
