"""`cloche serve`: options and environment become settings, errors become messages and exit codes."""

import sys

import click

from serving.errors import ServingError
from serving.front import logs
from serving.front.server import run
from serving.front.settings import Settings, default_cache


@click.command(epilog="Example: cloche serve models:/flight-delay@production --port 8080")
@click.argument("models", nargs=-1, metavar="MODEL_URI...")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0 takes any free port.")
@click.option("--replicas", default=1, show_default=True, type=click.IntRange(1), help="Model hosts per model.")
def serve(models: tuple[str, ...], host: str, port: int, replicas: int) -> None:
    """Serve models online, and follow the registry."""
    logs.configure("console" if sys.stderr.isatty() else "json")
    try:
        run(Settings(models=models, host=host, port=port, replicas=replicas, cache_directory=default_cache()))
    except ServingError as error:
        raise click.ClickException(str(error)) from error


if __name__ == "__main__":
    serve()
