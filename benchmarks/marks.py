"""The marks between the stages of a request, at which the breakdown takes the time.

A mark is the call or the return of a function, which is named by the object that callers look it up
in: the module or class whose attribute tracing replaces.
"""

from dataclasses import dataclass
from typing import Final, Literal

Process = Literal["client", "front", "host"]


@dataclass(frozen=True, slots=True)
class Mark:
    """A point in the processing of a request, and the stage that ends there.

    Attributes:
        stage: The name of the stage between the previous mark and this one.
        process: The process in which the function is called.
        targets: The functions, as `module:qualified.name`; a request calls one of them.
        leaving: Whether the mark is the function's return, not its call.
    """

    stage: str
    process: Process
    targets: tuple[str, ...]
    leaving: bool = False


_PREDICT = (
    "cloche.serving.host.instrumented_model:InstrumentedModel.predict_enforced",
    "cloche.serving.host.instrumented_model:InstrumentedModel.predict",
    "cloche.serving.host.predictors.twin:Twin.predict",
)

_ENTER = ("cloche.serving.http.fast_path:FastPath.take", "cloche.serving.api.app:App._route")
_ANSWER = (
    "cloche.serving.http.connection:Connection.answer",
    "cloche.serving.api.predictions:respond",
)

# The marks in the order in which a request passes them.
MARKS: Final = (
    Mark("wake the front", "front", ("cloche.serving.http.connection:Connection.data_received",)),
    Mark("read and parse HTTP", "front", _ENTER),
    Mark(
        "route, headers, body",
        "front",
        ("cloche.serving.dispatch.version_pool:VersionPool.submit",),
    ),
    Mark("queue and batch", "front", ("cloche.serving.dispatch.replica:Replica.score",)),
    Mark("frame", "front", ("cloche.serving.dispatch.replica:batch",), leaving=True),
    Mark(
        "write to the host, wake it", "host", ("cloche.serving.processes.frames:FrameReader.feed",)
    ),
    Mark("unframe", "host", ("cloche.serving.host.scoring:HostScorer.score",)),
    Mark("decode", "host", ("cloche.serving.host.scoring:HostScorer._read",), leaving=True),
    Mark("make the table", "host", _PREDICT),
    Mark("predict", "host", _PREDICT, leaving=True),
    Mark(
        "split and encode", "host", ("cloche.serving.host.scoring:HostScorer.score",), leaving=True
    ),
    Mark("frame", "host", ("cloche.serving.host.loop:result",), leaving=True),
    Mark(
        "write to the front, wake it",
        "front",
        ("cloche.serving.dispatch.host_channel:Channel.data_received",),
    ),
    Mark("unframe", "front", ("cloche.serving.dispatch.replica:_read_result",), leaving=True),
    Mark("find the request", "front", _ANSWER),
    Mark("write the answer", "front", _ANSWER, leaving=True),
)
