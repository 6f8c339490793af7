"""Marks of log levels at the beginning of a host's log lines, like `<4>` for a warning.

The marks are those of sd-daemon(3). The front reads the output of hosts as text. Only Cloche's own
lines are marked: the lines of a model have the format that the model has configured.
"""

import logging
import re
import sys

_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}
_LEVELS = {priority: level for level, priority in _PRIORITIES.items()}
_MARKED = re.compile(r"<([2-7])>(.*)", re.DOTALL)


class LevelFormatter(logging.Formatter):
    """Formats a log record with the mark of its level before each line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the marked lines of the record."""
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines())


def configure() -> None:
    """Write the log records of Cloche in this process with marks of their levels."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LevelFormatter())
    logger = logging.getLogger("cloche")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False  # the model may configure the root logger


def read(line: str) -> tuple[int, str]:
    """Return the level of a host's log line, and the line without its mark."""
    if found := _MARKED.fullmatch(line):
        return _LEVELS.get(int(found[1]), logging.INFO), found[2]
    return logging.INFO, line
