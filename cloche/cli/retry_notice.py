"""Says that a tracking server is waited for; MLflow's client does so for minutes, silently.

urllib3, which asks again on its behalf, tells its logger of each attempt, in its own words.
"""

import logging

import click

_ASKING_AGAIN = "Retrying ("


class _RetryNotice(logging.Filter):
    """Turns the note of an attempt that failed into a line for people."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let everything else pass."""
        if not str(record.msg).startswith(_ASKING_AGAIN) or not isinstance(record.args, tuple):
            return True
        left = getattr(record.args[0], "total", 0)
        click.echo(
            f"The tracking server does not answer; asking again, up to {left + 1} times. "
            "Ctrl-C gives up.",
            err=True,
        )
        return False


def tell_of_waiting() -> None:
    """Tell, from now on."""
    logging.getLogger("urllib3.connectionpool").addFilter(_RetryNotice())
