"""The exceptions of the benchmarks.

BenchmarkError
├── NoClient      wrk or h2load is not installed
├── NotBuilt      a contender's environment cannot be made
├── NotTrained    a model's data is missing, or its training failed
├── NotServing    a server or command ended, answered wrongly, or was too slow
└── NoSuchMark    a function that the breakdown measures does not exist
"""


class BenchmarkError(Exception):
    """A foreseen failure; its message names the fix, or ends with the lines of a log."""


class NoClient(BenchmarkError):
    """The client, wrk or h2load, is not installed."""


class NotBuilt(BenchmarkError):
    """The environment of a contender cannot be made."""


class NotTrained(BenchmarkError):
    """The data of a model is missing, or its training failed."""


class NotServing(BenchmarkError):
    """A server or command ended, answered wrongly, or took too long."""


class NoSuchMark(BenchmarkError):
    """A function that a mark names does not exist."""
