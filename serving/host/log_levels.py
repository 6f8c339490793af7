"""How a line that a host writes tells its level: as in sd-daemon(3), `<4>` before a warning.

The front reads what hosts write as text. Only Cloche's own lines are marked: what a model logs is
written as the model configured it.
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


class Marked(logging.Formatter):
    """A record with the mark of its level before each of its lines."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines."""
        mark = f"<{_PRIORITIES.get(record.levelno, 6)}>"
        return "\n".join(mark + line for line in super().format(record).splitlines())


def configure() -> None:
    """Write what Cloche logs in this process with the marks of its levels."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Marked())
    logger = logging.getLogger("cloche")
    logger.handlers = [handler]
    logger.setLevel(logging.WARNING)
    logger.propagate = False  # the model may configure the root


def read(line: str) -> tuple[int, str]:
    """The level of a line that a host wrote, and the line without its mark."""
    if found := _MARKED.fullmatch(line):
        return _LEVELS.get(int(found[1]), logging.INFO), found[2]
    return logging.INFO, line
