"""Options of the commands that run versions in separate processes."""

import click

from cloche.processes.child_variables import check_extra_names
from cloche.registry import env_manager

cache = env_manager.cache_dir("cache", "Where environments are kept.")


def check(manager: str, extra_names: tuple[str, ...]) -> None:
    """Check that versions can be run with the given `--env-manager` and `--host-env`.

    Raises:
        click.UsageError: They cannot; the message says what to do.
    """
    try:
        check_extra_names(extra_names)
        if manager != env_manager.LOCAL:
            env_manager.tool_command(manager)
    except (ValueError, env_manager.ManagerMissing) as error:
        raise click.UsageError(str(error)) from error
