"""The prediction log of a model host: what it has read and predicted for a batch, as records.

What is logged are the objects that the scorer has anyway: the columns of the joined requests and
the predictions of the whole batch; of a request that is scored alone what the model got and gave.
Nothing that happens here reaches a client: what cannot be logged is dropped and counted.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial, wraps
from itertools import compress
from operator import not_
from pathlib import Path
from typing import Any, NamedTuple

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from cloche.rollout.assignment import position
from cloche.serving.host.log_records.cells import columns_of, packed, texts
from cloche.serving.host.parsing.column_decoder import Column, Table
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import ARMS, Answer, Item, LogCounts
from cloche.serving.spool.counters import Counters
from cloche.serving.spool.log_plan import (
    ALL_INPUTS,
    BEST_EFFORT,
    MACHINE,
    LogPlan,
    door_name,
)
from cloche.serving.spool.segment import DISK_FULL, ERROR, SPOOL_FULL, NotSpooled, SegmentWriter
from cloche.values.keyed_hashes import keyed_hash
from cloche.values.redaction import describe_error

_OK = 200
_HOUR = 3_600_000_000  # microseconds
_WARN_SECONDS = 60.0
_TOLD = {"logged": "logged", SPOOL_FULL: "spool_full", DISK_FULL: "disk_full", ERROR: "error"}
_logger = logging.getLogger(__name__)

Spans = list[tuple[int, int]]
Request = tuple[Any, ...]


class _Record(NamedTuple):
    """Requests whose rows are in the same tables.

    Attributes:
        requests: The requests with their answers.
        spans: The first row of each request in the tables, and the end of its rows.
        rows: The number of rows of the tables.
        predictor: The predictor that answered; None for a refusal.
        inputs: Returns the columns of the inputs by name.
        outputs: Returns the columns of the outputs by name.
        sent: Returns a column that the client has sent, whether or not the model takes it.
        reason: The reason of a refusal; empty for answers.
    """

    requests: list[tuple[Item, Answer]]
    spans: Spans
    rows: int
    predictor: str | None
    inputs: Callable[[], Mapping[str, Any]]
    outputs: Callable[[], Mapping[str, Any]]
    sent: Callable[[str], Any]
    reason: str = ""


class PredictionLog:
    """Logs the requests of one version, from the thread that answers them."""

    def __init__(self, plan: LogPlan) -> None:
        """Write nothing yet."""
        self._plan = plan
        self._keeps_all = plan.inputs == ALL_INPUTS
        self._kept = frozenset(plan.inputs)
        self._hashed = frozenset(plan.hashed)
        self._hash = partial(keyed_hash, plan.key)
        self._segments: SegmentWriter | None = None
        self._counters: Counters | None = None
        self._records: list[_Record] = []
        self._told: Counter[str] = Counter()
        self._warned_at = -_WARN_SECONDS
        self._model_input: Any = None

    @property
    def sent(self) -> list[str]:
        """The names of the columns that are logged even if the model takes none of that name."""
        return [name for name in (self._plan.id_column, self._plan.subject) if name]

    def describe(self, metadata: Model) -> None:
        """Begin to log, by the signature of the version."""
        plan = self._plan
        header = {
            "server": plan.server, "process": "host", "model": plan.model,
            "version": plan.version, "digest": plan.digest, "promise": plan.promise,
            "inputs": self._logged_types(metadata), "hashed": list(plan.hashed),
        }  # fmt: skip
        self._segments = SegmentWriter(
            Path(plan.folder), header, spool_bytes=plan.spool_bytes, synced=plan.promise == MACHINE
        )

    def _logged_types(self, metadata: Model) -> list[list[str]]:
        schema = metadata.get_input_schema()
        if schema is None or not schema.has_input_names():
            return []
        pairs = zip(schema.input_names(), schema.input_types(), strict=True)
        return [
            [str(name), str(getattr(kind, "name", kind))]
            for name, kind in pairs
            if self._keeps(str(name))
        ]

    def _keeps(self, name: str) -> bool:
        return self._keeps_all or name in self._kept

    def capture_inputs(self, model: PyFuncModel) -> None:
        """Note what the model's own function gets, which MLflow has made of a request."""
        if self._segments is None:
            self.describe(model.metadata)
        function = model._predict_fn

        @wraps(function)
        def watched(data: Any, *arguments: Any, **named: Any) -> Any:
            self._model_input = data
            return function(data, *arguments, **named)

        model._predict_fn = watched

    def add_joined(
        self, items: Sequence[Item], answers: Sequence[Answer | None], tables: Sequence[Table],
        *, columns: Mapping[str, Column], predicted: Predicted, predictor: str,
    ) -> None:  # fmt: skip
        """Log requests that were predicted together.

        Args:
            items: The requests.
            answers: Their answers; None for those that are not answered by this prediction.
            tables: Their tables, which have equal keys.
            columns: The columns of all rows by name.
            predicted: The predictions for all rows.
            predictor: Which predictor made them.
        """
        requests, spans, end = [], [], 0
        for item, answer, table in zip(items, answers, tables, strict=True):
            start, end = end, end + table.length
            if answer is not None and item.log is not None:
                requests.append((item, answer))
                spans.append((start, end))
        if requests:

            def sent(name: str) -> Any:
                if name not in tables[0].sent:
                    return columns.get(name)
                return [cell for table in tables for cell in table.sent[name]]

            outputs = partial(predicted.columns, 0, end)
            self._records.append(
                _Record(requests, spans, end, predictor, lambda: columns, outputs, sent)
            )

    def add_alone(self, item: Item, answer: Answer, sent: Any, raw: Any, reason: str) -> None:
        """Log a request that was scored alone.

        Args:
            item: The request.
            answer: Its answer.
            sent: The table that MLflow has parsed, with columns that the model does not take.
            raw: What the model returned.
            reason: Why the request was refused; empty if it was answered.
        """
        got, self._model_input = self._model_input, None
        if item.log is None:
            return
        rows = 0 if reason else answer.rows
        self._records.append(
            _Record(
                [(item, answer)], [(0, rows)], rows, None if reason else "model",
                lambda: columns_of(sent if got is None else got, rows),
                lambda: columns_of(raw, rows, outputs=True),
                lambda name: columns_of(sent, rows).get(name), reason,
            )
        )  # fmt: skip

    def before_answer(self, predict_seconds: float) -> LogCounts:
        """Write what was added, unless the promise is `best-effort`; return what was counted."""
        if self._plan.promise != BEST_EFFORT:
            self.write(predict_seconds)
        told, self._told = self._told, Counter()
        return LogCounts(**told)

    def write(self, predict_seconds: float) -> None:
        """Write what was added since the last call."""
        records, self._records = self._records, []
        for record in records:
            try:
                self._write(record, int(predict_seconds * 1e6))
            except Exception as error:  # noqa: BLE001  # nothing here may fail an answer
                self._warn(f"Rows of the prediction log are not counted: {describe_error(error)}")
        if records and self._segments and self._plan.promise == MACHINE:
            try:
                self._segments.sync()
            except NotSpooled as error:
                self._warn(str(error))

    def _write(self, record: _Record, model_us: int) -> None:
        """Write a record or drop it, and count its rows by the hour of their arrival."""
        requests, spans = self._requests(record, model_us), record.spans
        if self._plan.sample < 1:
            chosen = [self._is_kept(request[0]) for request in requests]
            self._count(list(compress(requests, map(not_, chosen))), "computed", "sampled_out")
            requests, spans = list(compress(requests, chosen)), list(compress(spans, chosen))
            if not requests:
                return
        outcome = self._append(record, requests, spans)
        what = outcome if outcome == "logged" else f"dropped: {outcome}"
        self._told[_TOLD[outcome]] += self._count(requests, "computed", what)

    def _is_kept(self, request_id: str) -> bool:
        """Whether a request is in the sample: by its ID, so that all processes choose alike."""
        return position("log", "", request_id.encode("latin-1")) < self._plan.sample * 100

    def _append(self, record: _Record, requests: list[Request], spans: Spans) -> str:
        """Append a record; return `logged`, or the reason why not."""
        inputs = outputs = None
        try:
            if not record.reason:
                whole = sum([end - start for start, end in spans]) == record.rows
                pack = partial(packed, spans=None if whole else spans)
                inputs = {
                    name: pack(cells, hashed=self._hash if name in self._hashed else None)
                    for name, cells in record.inputs().items()
                    if self._keeps_all or name in self._kept
                }
                outputs = {name: pack(cells) for name, cells in record.outputs().items()}
            assert self._segments is not None  # noqa: S101  # the version is loaded
            self._segments.append(requests, inputs, outputs)
        except NotSpooled as error:
            self._warn(str(error))
            return error.reason
        except Exception as error:  # noqa: BLE001  # a model may return anything
            self._warn(f"The prediction cannot be logged: {describe_error(error)}")
            return ERROR
        return "logged"

    def _requests(self, record: _Record, model_us: int) -> list[Request]:
        """The requests as a record has them; see `cloche.serving.spool.log_plan`."""
        sample, reason, predictor = self._plan.sample, record.reason, record.predictor
        named, about = self._sent(record)
        requests: list[Request] = []
        for (item, answer), (start, end) in zip(record.requests, record.spans, strict=True):
            note: Any = item.log
            ids: Any = note.prediction_id.decode("latin-1") if note.prediction_id else None
            requests.append((
                item.id, note.received_at, end - start, answer.status, reason, predictor,
                ARMS[note.arm], door_name(item.protocol), note.attempt, sample, note.queue_us,
                model_us, ids if named is None else named[start:end],
                None if about is None else about[start:end],
            ))  # fmt: skip
        return requests

    def _sent(self, record: _Record) -> tuple[list[str | None] | None, list[str | None] | None]:
        """The callers' names of all rows, and the hashes of their subjects; None for none."""
        plan = self._plan
        named = about = None
        if plan.id_column and not record.reason:
            named = record.sent(plan.id_column)
            named = None if named is None else texts(named)
            if named is not None and plan.id_column in self._hashed:
                named = list(map(self._hash, named))
        if plan.subject and not record.reason:
            about = record.sent(plan.subject)
            about = None if about is None else list(map(self._hash, texts(about)))
        return named, about

    def _count(self, requests: list[Request], *what: str) -> int:
        """Count the rows of requests by the hour of their arrival; return how many there are."""
        if self._counters is None:
            header = {"server": self._plan.server, "process": "host"}
            self._counters = Counters(Path(self._plan.folder), header)
        rows: dict[int, int] = {}
        for request in requests:
            hour = request[1] // _HOUR
            rows[hour] = rows.get(hour, 0) + (request[2] or 1)  # a refusal is one row of the log
        about = {"model": self._plan.model, "version": self._plan.version}
        for hour, number in rows.items():
            for one in what:
                self._counters.add(one, number, received_at=hour * _HOUR, **about)
        return sum(rows.values())

    def _warn(self, message: str) -> None:
        """Warn now and then: what is dropped is counted anyway."""
        if time.monotonic() - self._warned_at >= _WARN_SECONDS:
            self._warned_at = time.monotonic()
            _logger.warning("%s", message)
