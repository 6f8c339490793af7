"""`cloche up`: trains, gates, promotes and serves a model, and prints commands to try."""

import json
import shlex
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from cloche import launch
from cloche.cli.spinner import steps
from cloche.serving.settings import Settings
from cloche.serving.web.sockets import authority
from cloche.training.recipe.load import load_recipe
from cloche.up.errors import ServiceError
from cloche.up.services import (
    Service,
    free_ports,
    mlflow_environment,
    server_environment,
    wait_for_exit,
)

if TYPE_CHECKING:
    from cloche.up.samples import TryRows

HELP = """Train RECIPE, judge the version by the gate, promote it and serve it.

If the recipe's model has a version in production already, nothing is trained. The command runs
until Ctrl-C, and then stops everything that it started.

\b
Example:
  cloche up
  cloche up breast-cancer --port 8081
  cloche up --check
"""

READY_SECONDS = 120
_DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(Settings)}
BATCH_ROWS = 1_000


@click.command(help=HELP, short_help="Train, gate, promote and serve a model, with MLflow's UI.")
@click.argument("recipe", default="flights")
@click.option(
    "--host",
    default=_DEFAULTS["host"],
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on.",
)
@click.option(
    "--port",
    default=_DEFAULTS["port"],
    show_default=True,
    metavar="PORT",
    help="Port of /invocations; 0 takes any free one.",
)
@click.option(
    "--ui-port",
    default=5000,
    show_default=True,
    metavar="PORT",
    help="Port of the MLflow UI; 0 takes any free one.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Send one online request and one batch through, print both results, stop, and exit 0.",
)
def up(recipe: str, host: str, port: int, ui_port: int, *, check: bool) -> None:
    """Run the command; see HELP."""
    # A closed terminal or a process manager must stop all child processes just as Ctrl-C does.
    # SIGINT is set too, because a script starts its background processes with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with TemporaryDirectory(prefix="cloche-up-") as folder, ExitStack() as services:
        with steps(f"bringing up {recipe}") as say:
            say(f"checking the recipe {recipe}")
            checked = load_recipe(recipe)
            port, ui_port = free_ports(host, {"--port": port, "--ui-port": ui_port})
            ui, server = f"http://{authority(host, ui_port)}", f"http://{authority(host, port)}"
            # Imported only after the checks, so that a mistake is reported at once: this takes
            # seconds.
            from cloche.up.production import ensure_candidate, ensure_production  # noqa: PLC0415
            from cloche.up.samples import rows_to_try  # noqa: PLC0415

            ensure_candidate(checked, say)
            # The UI takes 14 s of one core to start. The gate leaves one core free, but a fit
            # leaves none, and before a candidate exists the registry may have no tables.
            say(f"starting the MLflow UI: {ui}")
            started = [_mlflow_ui(host, ui_port, Path(folder))]
            services.callback(started[0].stop)
            version = ensure_production(checked, say)
            say("starting the server")
            started.append(_server(checked.name, host, port, Path(folder)))
            services.callback(started[1].stop)
            for service in started:
                service.wait_until_ready(READY_SECONDS)
            rows = rows_to_try(checked.name, version, BATCH_ROWS)
        if check:
            _check(checked.name, server, rows, Path(folder))
            return
        click.echo(_what_to_try(checked.name, version, ui, server, rows))
        wait_for_exit(started)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _mlflow_ui(host: str, port: int, folder: Path) -> Service:
    import mlflow  # noqa: PLC0415 (see `up`)

    return Service(
        "the MLflow UI",
        [
            *(sys.executable, "-Pm", "mlflow", "server", "--host", host, "--port", str(port)),
            *("--workers", "1", "--backend-store-uri", mlflow.get_tracking_uri()),
        ],
        f"http://{authority(host, port)}/health",
        folder / "ui.log",
        {**mlflow_environment(), "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )


def _server(name: str, host: str, port: int, folder: Path) -> Service:
    return Service(
        "the server",
        [
            *launch.command("cloche.main", "serve", f"models:/{name}@production"),
            *("--host", host, "--port", str(port)),
        ],
        f"http://{authority(host, port)}/readyz",
        folder / "server.log",
        server_environment(),
    )


def _check(name: str, server: str, rows: "TryRows", folder: Path) -> None:
    import requests  # noqa: PLC0415 (see `up`)

    from cloche.up.samples import write_csv  # noqa: PLC0415

    answer = requests.post(f"{server}/invocations", json=rows.request, timeout=30)
    answer.raise_for_status()
    click.echo(f"online  {json.dumps(answer.json())}")
    result = folder / "predictions.json"
    batch = subprocess.run(  # noqa: S603 (our own command)
        [
            *(sys.executable, "-Pm", "mlflow", "models", "predict", "--env-manager", "local"),
            *("--model-uri", f"models:/{name}@production", "--content-type", "csv"),
            *("--input-path", str(write_csv(rows, folder)), "--output-path", str(result)),
        ],
        env=mlflow_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if batch.returncode:
        raise ServiceError(f"scoring the batch failed:\n{batch.stderr}")
    predictions = json.loads(result.read_text(encoding="utf-8"))["predictions"]
    click.echo(f"batch   {len(predictions):,} rows, the first: {json.dumps(predictions[0])}")
    if why := difference(answer.json()["predictions"], predictions[0], _predictor(server, name)):
        click.echo(why, err=True)  # standard output holds only the two results


def _predictor(server: str, name: str) -> str:
    """Return the predictor of the server: `onnx` for the accelerated twin, `pyfunc` otherwise."""
    import requests  # noqa: PLC0415 (see `up`)

    models = requests.get(f"{server}/readyz", timeout=30).json()["models"]
    return str(models[name]["predictor"])


def difference(online: Any, batch: Any, predictor: str) -> str:
    """Explain why the two predictions of the first row differ; empty if they are equal."""
    if predictor != "onnx" or list(online) == [batch]:
        return ""
    return (
        "The last digits differ: online the accelerated twin answers, and the batch is scored by "
        "the model itself, with stock MLflow. Both agree within what the twin was proven for."
    )


def _what_to_try(name: str, version: str, ui: str, server: str, rows: "TryRows") -> str:
    body = shlex.quote(json.dumps(rows.request))  # texts may hold apostrophes
    return f"""
{name} version {version} is in production.

  MLflow UI    {ui}
  page         {server}
  online       {server}/invocations

Try it:

  curl -s {server}/invocations -H 'Content-Type: application/json' -d {body}

  cloche status {name}

Train and promote another version, or move the alias in the UI: the server follows, and its answers
name the version in X-Model-Version. Its fields are described at {server}/docs

Ctrl-C stops everything.
"""
