"""`cloche serve`: turns options and environment variables into settings, and runs the server."""

import os
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from cloche.registry import env_manager
from cloche.serving.errors import SettingsError
from cloche.serving.observability import logs
from cloche.serving.processes.cpu_count import cores
from cloche.serving.registry.names import PRODUCTION
from cloche.serving.server.lifecycle import run
from cloche.serving.settings import MIB, Settings
from cloche.serving.spool.log_plan import PROMISES

_DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(Settings)}
_POSITIVE = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0, min_open=True)
_PORT = click.IntRange(0, 65535)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


HELP = """Serve models online, and follow the registry.

MODEL_URI is models:/NAME@production or any other MLflow model URI; put NAME= before it to serve
it under another name. When the alias moves, the new version is loaded beside the one that serves,
and takes over when it is warm: no restart, no failed request. Every option can be set by a
variable, like CLOCHE_SERVE_PORT, and the URIs by CLOCHE_SERVE_MODELS, separated by blanks; if a
name has blanks, write each URI in a line of its own, which ends with a line feed. With a secret in
CLOCHE_WEBHOOK_SECRET, an MLflow webhook to /webhooks/registry makes the server poll at once.

\b
Example:
  cloche serve models:/flight-delay@production
  cloche serve models:/flight-delay@production churn=models:/churn/2 \\
    --replicas 2
  cloche serve --all
"""


def _setting(
    flag: str, kind: "click.ParamType[Any]", metavar: str, text: str
) -> Callable[[Any], Any]:
    """Return an option with the name, the unit and the default of a setting."""
    default = _DEFAULTS[flag.removeprefix("--").replace("-", "_")]
    return click.option(flag, default=default, type=kind, metavar=metavar, help=text)


class _ModelUris(type(click.STRING)):  # type: ignore[misc]  # click's class has no public name
    """The type of model URIs, which reads several URIs from an environment variable."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split a variable at line ends, or, if it has only one line, at blanks.

        A model's name may contain blanks, so they separate URIs only in a single line.
        """
        return [line for line in rv.split("\n") if line.strip()] if "\n" in rv else rv.split()


class _Workers(click.IntRange):
    """The type of the number of workers, which may be left to the machine."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number; each worker keeps a core busy, and its model hosts another."""
        return max(1, cores() // 2) if value == "auto" else super().convert(value, param, ctx)


class _Replicas(click.ParamType):  # type: ignore[type-arg]  # old releases of click have no argument
    """The type of numbers of replicas: one for all, and others for models and stages by name."""

    name = "replicas"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return name → number; the number of all that are not named has the name ""."""
        numbers = {"": _DEFAULTS["replicas"]}
        number: Any
        for part in str(value).split(","):
            name, _, number = part.strip().rpartition("=")
            numbers[name] = _POSITIVE.convert(number, param, ctx)
        return numbers


@click.command(
    help=HELP,
    short_help="Serve online; the version changes when the alias moves.",
    context_settings={"auto_envvar_prefix": "CLOCHE_SERVE", "show_default": True},
)
@click.argument(
    "models", nargs=-1, metavar="[MODEL_URI]...", envvar="CLOCHE_SERVE_MODELS",
    type=_ModelUris(),
)  # fmt: skip
@click.option(
    "--all",
    "all_with_alias",
    is_flag=False,
    flag_value=PRODUCTION,
    default="",
    show_default=False,
    metavar="[ALIAS]",
    help=f"Serve every registered model that has the alias ({PRODUCTION} if none is named), as "
    "models come and go.",
)
@click.option(
    "--before",
    default="",
    show_default="the version's tag cloche.before",
    metavar="URI",
    help="The stage that prepares the rows for the model, or none if clients send prepared rows; "
    "with one MODEL_URI only.",
)
@click.option("--host", default=_DEFAULTS["host"], metavar="ADDRESS", help="Address to listen on.")
@_setting("--port", _PORT, "PORT", "Port to listen on; 0 takes any free one.")
@click.option(
    "--grpc-port",
    type=_PORT,
    metavar="PORT",
    help="Also serve the Open Inference Protocol over gRPC, on this port; needs 'cloche[grpc]'.",
)
@click.option(
    "--workers",
    type=_Workers(),
    default=str(_DEFAULTS["workers"]),
    metavar="N|auto",
    help="Processes that answer requests on the same port, each with its replicas; auto: one for "
    "every two cores.",
)
@click.option(
    "--replicas",
    type=_Replicas(),
    default=str(_DEFAULTS["replicas"]),
    metavar="N|NAME=N,…",
    help="Model hosts per model, of each worker; also by the name of a model or of a stage before "
    "one: 2,flight-features=4.",
)
@_setting("--poll-interval", _SECONDS, "SECONDS", "How often the registry is polled.")
@_setting("--load-timeout", _SECONDS, "SECONDS", "How long a version may take to load.")
@click.option(
    "--request-timeout",
    envvar=["CLOCHE_SERVE_REQUEST_TIMEOUT", "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT"],
    default=_DEFAULTS["request_timeout"],
    type=_SECONDS,
    metavar="SECONDS",
    help="How long until a request is answered 504; MLflow's variable "
    "MLFLOW_SCORING_SERVER_REQUEST_TIMEOUT sets it, too.",
)
@click.option(
    "--predict-timeout",
    type=_SECONDS,
    metavar="SECONDS",
    show_default="as --request-timeout",
    help="How long a model may take for a batch; then its requests are answered 504, and its "
    "host is replaced.",
)
@_setting(
    "--drain-timeout", _SECONDS, "SECONDS", "How long running requests are waited for at the end."
)
@_setting(
    "--max-batch-rows",
    _POSITIVE,
    "N",
    "Most rows that are scored together; 1 never joins requests.",
)
@click.option(
    "--max-wait-ms",
    default=_DEFAULTS["max_wait"] * 1000,
    type=click.FloatRange(min=0),
    metavar="MILLISECONDS",
    help="How long a request waits for others, to be scored together with them.",
)
@_setting("--max-queue", _POSITIVE, "N", "Requests that may wait; more get 429.")
@_setting("--max-body", _POSITIVE, "BYTES", "Most bytes of a request body, also when unpacked.")
@_setting("--max-connections", _POSITIVE, "N", "Connections that may be open; more get 503.")
@click.option(
    "--max-host-memory",
    default=_DEFAULTS["max_host_memory"] // MIB,
    type=click.IntRange(min=0),
    metavar="MIB",
    help="MiB after which a model host is renewed, for models that leak; 0 for never.",
)
@_setting("--client-timeout", _SECONDS, "SECONDS", "How long a client may take to send a request.")
@env_manager.option("serve")
@env_manager.host_env("serve")
@click.option(
    "--acceleration/--no-acceleration",
    "accelerate",
    default=_DEFAULTS["accelerate"],
    help="Whether a version's accelerated twin may answer in its place.",
)
@env_manager.cache_dir("cache_dir", "Where versions and environments are kept.")
@click.option(
    "--api-keys-file",
    type=_FILE,
    help="File with one API key per line; or set CLOCHE_API_KEYS, with commas between.",
)
@click.option(
    "--allowed-hosts",
    envvar=["CLOCHE_SERVE_ALLOWED_HOSTS", "MLFLOW_SERVER_ALLOWED_HOSTS"],
    default="",
    show_default=False,
    metavar="NAMES",
    help="More names that the server may be asked by, with commas between; * stands for any text. "
    "Without API keys, requests for other hosts get 403.",
)
@click.option("--tls-certificate", type=_FILE, help="PEM file with the certificate chain.")
@click.option("--tls-key", type=_FILE, help="PEM file with its private key.")
@click.option(
    "--log",
    default="",
    show_default=False,
    metavar="DESTINATION",
    help="Keep a row of every prediction, in Parquet, under this folder or URL (s3://…, and others "
    "that batch jobs take).",
)
@click.option(
    "--log-inputs",
    default="",
    show_default=False,
    metavar="all|A,B,…",
    help="The input columns that are kept with the predictions.",
)
@click.option(
    "--log-hash",
    default="",
    show_default=False,
    metavar="A,B,…",
    help="Those of them that are kept as a keyed hash; needs a secret in CLOCHE_LOG_KEY.",
)
@click.option(
    "--log-id",
    default="",
    show_default=False,
    metavar="COLUMN",
    help="The input column with the caller's name for each prediction, to which the truth is "
    "joined later; else the header X-Prediction-Id names the request's.",
)
@click.option(
    "--log-subject",
    default="",
    show_default=False,
    metavar="COLUMN",
    help="The input column with the person whom a row is about, kept as a keyed hash, so that the "
    "person's rows can be erased; needs CLOCHE_LOG_KEY.",
)
@_setting(
    "--log-sample",
    click.FloatRange(0, 1, min_open=True),
    "SHARE",
    "The share of the requests that are kept; each row says it.",
)
@click.option(
    "--log-promise",
    type=click.Choice(PROMISES),
    default=_DEFAULTS["log_promise"],
    help="What a row that was answered survives: process, a killed server; machine, also a crash "
    "of the system; best-effort, neither.",
)
@click.option(
    "--log-spool",
    type=click.Path(file_okay=False, path_type=Path),
    show_default="in the cache directory",
    metavar="DIR",
    help="Local folder where rows wait for the destination.",
)
@click.option(
    "--log-spool-size",
    default=_DEFAULTS["log_spool_size"] // MIB,
    type=_POSITIVE,
    metavar="MIB",
    help="MiB that rows may take while they wait; more are dropped, and counted.",
)
@_setting("--log-seal-interval", _SECONDS, "SECONDS", "How often rows go to the destination.")
@click.option("--access-log", is_flag=True, help="Log every prediction request.")
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "console"]),
    default="auto",
    help="How the log is written; auto is console on a terminal and json elsewhere.",
)
def serve(
    log_format: str,
    **options: Any,
) -> None:
    """Run the command; see HELP."""
    console = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
    logs.configure("console" if console else "json")
    run(settings_of(**options))


def settings_of(
    *,
    cache_dir: Path,
    api_keys_file: Path | None,
    max_wait_ms: float,
    max_host_memory: int,
    allowed_hosts: str,
    replicas: dict[str, int],
    log: str = "",
    log_inputs: str = "",
    log_hash: str = "",
    log_spool_size: int = _DEFAULTS["log_spool_size"] // MIB,
    **options: Any,
) -> Settings:
    """Make the settings from options and environment variables.

    Most options have the name and unit of their setting; the named parameters are converted.

    Raises:
        SettingsError: The options contradict each other, or the file has no valid API keys.
    """
    return Settings(
        **options,
        replicas=replicas[""],
        named_replicas={name: number for name, number in replicas.items() if name},
        max_wait=max_wait_ms / 1000,
        max_host_memory=max_host_memory * MIB,
        cache_directory=cache_dir,
        api_keys=_api_keys(api_keys_file),
        allowed_hosts=_split(allowed_hosts),
        webhook_secret=os.environ.get("CLOCHE_WEBHOOK_SECRET", ""),
        log=log if "://" in log else log and str(Path(log).absolute()),
        log_inputs=_split(log_inputs),
        log_hash=_split(log_hash),
        log_spool_size=log_spool_size * MIB,
        log_key=os.environ.get("CLOCHE_LOG_KEY", ""),
    )


def _api_keys(file: Path | None) -> tuple[str, ...]:
    """Return the API keys of the file and of the environment.

    No option takes a key, as other users can read command lines.
    """
    try:
        text = file.read_text(encoding="utf-8") if file else ""
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file} is not text in UTF-8. Write one API key per line.") from error
    lines = [line.strip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    keys = (*filter(None, lines), *_split(os.environ.get("CLOCHE_API_KEYS", "")))
    if file and not keys:
        raise SettingsError(f"{file}: there is no API key in it. Write one per line.")
    return keys


def _split(text: str) -> tuple[str, ...]:
    """Split a text at commas, without blanks and empty entries."""
    return tuple(filter(None, map(str.strip, text.split(","))))
