"""The server's log: one JSON object per line, or plain lines for people."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_USUAL = frozenset(logging.makeLogRecord({}).__dict__) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class JsonLines(logging.Formatter):
    """A formatter that writes a record as one line of JSON, with all fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_extra(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Console(logging.Formatter):
    """A formatter that writes a record as plain text for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        extra = " ".join(f"{name}={value}" for name, value in _extra(record).items())
        line = f"{when} {record.levelname:<7} {record.getMessage()}{'  ' + extra if extra else ''}"
        line = _CONTROL.sub(lambda found: repr(found[0])[1:-1], line)  # names may have line ends
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure(style: str) -> None:
    """Send all log records to stderr in the given style: `json` or `console`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if style == "json" else Console())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def style() -> str:
    """The style in which records are written, for `configure` in another process."""
    handlers = logging.getLogger().handlers
    return "json" if any(isinstance(one.formatter, JsonLines) for one in handlers) else "console"


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {
        name: value
        for name, value in record.__dict__.items()
        if name not in _USUAL and value is not None
    }
