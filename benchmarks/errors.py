"""The exceptions of the benchmarks.

BenchmarkError
├── NotBuilt      a contender's environment cannot be made
├── NotTrained    a model's data is missing, or its training failed
└── NotServing    a server or command ended, answered wrongly, or was too slow
"""


class BenchmarkError(Exception):
    """A foreseen failure; its message names the fix, or ends with the lines of a log."""


class NotBuilt(BenchmarkError):
    """The environment of a contender cannot be made."""


class NotTrained(BenchmarkError):
    """The data of a model is missing, or its training failed."""


class NotServing(BenchmarkError):
    """A server or command ended, answered wrongly, or took too long."""
