"""Options of the commands that run versions in processes of their own."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cloche import env_manager
from cloche.environment import check_widened

cache = click.option(
    "--cache-dir",
    "cache",
    type=click.Path(file_okay=False, path_type=Path),
    default=env_manager.default_cache,
    show_default="~/.cache/cloche",
    help="Where environments are kept.",
)


def host_env(command: str) -> Callable[[Any], Any]:
    """The option `--host-env` of a command."""
    return click.option(
        "--host-env",
        envvar=f"CLOCHE_{command.upper()}_HOST_ENV",
        multiple=True,
        metavar="NAME",
        help="Give models this variable of the environment; NAME* for all that begin so. "
        "May be repeated; SECURITY.md has what they get anyway.",
    )


def check(manager: str, widened: tuple[str, ...]) -> None:
    """See that versions can be run as `--env-manager` and `--host-env` say.

    Raises:
        click.UsageError: they cannot; the message says what to do.
    """
    try:
        check_widened(widened)
        if manager != env_manager.LOCAL:
            env_manager.tool(manager)
    except (ValueError, env_manager.ManagerMissing) as error:
        raise click.UsageError(str(error)) from error
