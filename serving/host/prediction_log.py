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
from pathlib import Path
from typing import Any, NamedTuple

from mlflow.models import Model
from mlflow.pyfunc import PyFuncModel

from cloche.rollout.assignment import position
from cloche.serving.host.logged_cells import columns_of, packed, texts
from cloche.serving.host.parsing.column_decoder import Column
from cloche.serving.host.predictors.prediction_writer import Predicted
from cloche.serving.processes.frames import ARMS, Answer, Item, LogCounts
from cloche.serving.spool.counters import Counters
from cloche.serving.spool.log_plan import (
    ALL_INPUTS,
    BEST_EFFORT,
    MACHINE,
    LogPlan,
    door,
    keyed_hash,
)
from cloche.serving.spool.segment import DISK_FULL, ERROR, SPOOL_FULL, NotSpooled, SegmentWriter
from cloche.values.redaction import describe_error

_OK = 200
_HOUR = 3_600_000_000  # microseconds
_WARN_SECONDS = 60.0
_TOLD = {"logged": "logged", SPOOL_FULL: "spool_full", DISK_FULL: "disk_full", ERROR: "error"}
_logger = logging.getLogger(__name__)

Spans = list[tuple[int, int]]


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

    def describe(self, metadata: Model) -> None:
        """Begin to log, by the signature of the version."""
        plan = self._plan
        header = {
            "server": plan.server, "process": "host", "model": plan.model,
            "version": plan.version, "digest": plan.digest, "promise": plan.promise,
            "inputs": self._logged_types(metadata), "hashed": list(plan.hashed),
        }  # fmt: skip
        self._segments = SegmentWriter(Path(plan.folder), header, spool_bytes=plan.spool_bytes)

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

    def watch(self, model: PyFuncModel) -> None:
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
        self, items: Sequence[Item], answers: Sequence[Answer | None], lengths: Sequence[int],
        *, columns: Mapping[str, Column], predicted: Predicted, predictor: str,
    ) -> None:  # fmt: skip
        """Log requests that were predicted together.

        Args:
            items: The requests.
            answers: Their answers; None for those that are not answered by this prediction.
            lengths: The numbers of their rows.
            columns: The columns of all rows by name.
            predicted: The predictions for all rows.
            predictor: Which predictor made them.
        """
        requests, spans, end = [], [], 0
        for item, answer, length in zip(items, answers, lengths, strict=True):
            start, end = end, end + length
            if answer is not None and item.log is not None:
                requests.append((item, answer))
                spans.append((start, end))
        if requests:
            outputs = partial(predicted.columns, 0, end)
            self._records.append(
                _Record(requests, spans, end, predictor, lambda: columns, outputs, columns.get)
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
        """Write a record or drop it, and count its rows."""
        kept, spans = [], []
        counts: Counter[tuple[str, int]] = Counter()
        share = self._plan.sample * 100
        for (item, answer), span in zip(record.requests, record.spans, strict=True):
            hour = item.log.received_at // _HOUR  # type: ignore[union-attr]  # it is logged
            rows = max(1, span[1] - span[0])  # a refusal is one row of the log
            counts["computed", hour] += rows
            if share < 100 and position("log", "", item.id.encode("latin-1")) >= share:
                counts["sampled_out", hour] += rows
                continue
            counts["logged", hour] += rows
            kept.append((item, answer))
            spans.append(span)
        outcome = self._append(record, kept, spans, model_us) if kept else "logged"
        for (what, hour), rows in counts.items():
            if what == "logged":
                self._told[_TOLD[outcome]] += rows
                lost = outcome != "logged"
                self._count(f"dropped: {outcome}" if lost else outcome, rows, hour)
            else:
                self._count(what, rows, hour)

    def _append(
        self, record: _Record, kept: list[tuple[Item, Answer]], spans: Spans, model_us: int
    ) -> str:
        """Append a record; return `logged`, or the reason why not."""
        try:
            whole = sum(end - start for start, end in spans) == record.rows
            pack = partial(packed, spans=None if whole else spans)
            inputs = outputs = None
            if not record.reason:
                inputs = {
                    name: pack(cells, hashed=self._hash if name in self._hashed else None)
                    for name, cells in record.inputs().items()
                    if self._keeps(name)
                }
                outputs = {name: pack(cells) for name, cells in record.outputs().items()}
            requests = self._requests(record, kept, spans, model_us)
            assert self._segments is not None  # noqa: S101  # the version is loaded
            self._segments.append(requests, inputs, outputs)
        except NotSpooled as error:
            self._warn(str(error))
            return error.reason
        except Exception as error:  # noqa: BLE001  # a model may return anything
            self._warn(f"The prediction cannot be logged: {describe_error(error)}")
            return ERROR
        return "logged"

    def _requests(
        self, record: _Record, kept: list[tuple[Item, Answer]], spans: Spans, model_us: int
    ) -> list[tuple[Any, ...]]:
        """The requests as the record has them."""
        plan = self._plan
        named = None if record.reason or not plan.id_column else record.sent(plan.id_column)
        about = None if record.reason or not plan.subject else record.sent(plan.subject)
        requests = []
        for (item, answer), (start, end) in zip(kept, spans, strict=True):
            note = item.log
            assert note is not None  # noqa: S101  # it is logged
            ids: Any = note.prediction_id.decode("latin-1") or None
            if named is not None:
                ids = texts(named[start:end])
                if plan.id_column in self._hashed:
                    ids = list(map(self._hash, ids))
            requests.append((
                item.id, note.received_at, end - start, answer.status, record.reason,
                record.predictor, ARMS[note.arm], door(item.protocol),
                note.attempt, plan.sample, note.queue_us, model_us, ids,
                None if about is None else list(map(self._hash, texts(about[start:end]))),
            ))  # fmt: skip
        return requests

    def _count(self, what: str, rows: int, hour: int) -> None:
        if self._counters is None:
            header = {"server": self._plan.server, "process": "host"}
            self._counters = Counters(Path(self._plan.folder), header)
        self._counters.add(
            what, rows, model=self._plan.model, version=self._plan.version, received_at=hour * _HOUR
        )

    def _warn(self, message: str) -> None:
        """Warn now and then: what is dropped is counted anyway."""
        if time.monotonic() - self._warned_at >= _WARN_SECONDS:
            self._warned_at = time.monotonic()
            _logger.warning("%s", message)
