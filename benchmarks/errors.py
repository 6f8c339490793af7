"""What can keep a benchmark from being measured.

BenchmarkError
├── NoClient      wrk is not installed
├── NotBuilt      a contender's environment cannot be made
├── NotTrained    a model cannot be made
├── NotServing    a server did not start, or ended
└── NoSuchMark    a function that the breakdown takes the time of is gone
"""


class BenchmarkError(Exception):
    """A foreseen failure; the message names the fix, or ends with the log that does."""


class NoClient(BenchmarkError):
    """The client is not installed."""


class NotBuilt(BenchmarkError):
    """An environment cannot be made."""


class NotTrained(BenchmarkError):
    """A model's data is missing, or training failed."""


class NotServing(BenchmarkError):
    """A server ended, or did not answer in time."""


class NoSuchMark(BenchmarkError):
    """A function that a mark names is not there."""
