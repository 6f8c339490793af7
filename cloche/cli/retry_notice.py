"""A notice that a command waits for the tracking server; MLflow's client retries silently.

MLflow's client may retry for minutes. urllib3, which does the retries, logs each failed attempt.
"""

import logging

import click

_RETRYING = "Retrying ("


class _RetryNotice(logging.Filter):
    """Replaces urllib3's log record of a failed attempt by a line for the user."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Print the notice for a retry; let all other records pass."""
        if not str(record.msg).startswith(_RETRYING) or not isinstance(record.args, tuple):
            return True
        left = getattr(record.args[0], "total", 0)
        click.echo(
            f"The tracking server does not answer; asking again, up to {left + 1} times. "
            "Ctrl-C gives up.",
            err=True,
        )
        return False


def announce_retries() -> None:
    """Print a notice for each retry from now on."""
    logging.getLogger("urllib3.connectionpool").addFilter(_RetryNotice())
