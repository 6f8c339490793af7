"""Scores a batch of request bodies with one loaded model.

The steps are: parse, join requests that may be joined, predict, split, encode.

Requests that the column decoder reads are joined by key and predicted together, whatever their
protocols, if the model scores each row by itself; all others go one by one through MLflow's own
enforcement. If joined requests fail, each is scored again alone, so that a bad request never
affects others.
"""

import logging
import time
from collections.abc import Hashable, Sequence
from functools import partial

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from cloche.registry.stage_names import title
from cloche.serving.host import marked_answers
from cloche.serving.host.answers.error_answers import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    RequestRefused,
    UnsupportedMediaType,
)
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.batch_predictors import ModelPredictor, TwinPredictor
from cloche.serving.host.codecs import comparison
from cloche.serving.host.codecs.catalog import codecs
from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.diagnosis.diagnosis import GENERAL
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.log_records.prediction_log import PredictionLog
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.prediction_writer import ModelPredictions
from cloche.serving.host.predictors.twin import Twin
from cloche.serving.host.row_independence import Found, examine_rows, made_up_example
from cloche.serving.host.staged_requests import frame_of_item, read_staged, score_staged_alone
from cloche.serving.processes.frames import Answer, Item, Result
from cloche.values.redaction import describe_error, trace

_OK = 200
MODEL_FAILED_CODE = "MODEL_FAILED"  # the reason in the prediction log; clients are told less
_MISFIT = (
    "What the stage before {} answers does not fit its signature ({}). Promote a pair that fits."
)
_logger = logging.getLogger(__name__)


class HostScorer:
    """Scores requests with one loaded version."""

    def __init__(
        self, model: PyFuncModel, decoder: ColumnDecoder | None, twin: Twin | None, *,
        name: str = "", version: str = "", log: PredictionLog | None = None,
    ) -> None:  # fmt: skip
        """Create the codecs and predictors; some protocols repeat name and version in answers."""
        self.model = model
        self._instrumented = InstrumentedModel(model)
        self._codecs = codecs(model.metadata, decoder, name=name, version=version)
        self._decoder = decoder
        self._types = decoder.types if decoder is not None else []
        self._names = decoder.names if decoder is not None else []
        self._joins = decoder is not None
        self._encoding_error: Exception | None = None
        self._model_predictor = (
            ModelPredictor(self._instrumented, decoder) if decoder is not None else None
        )
        self._twin_predictor = (
            TwinPredictor(twin, decoder) if decoder is not None and twin is not None else None
        )
        self._title = title(name, version)
        self._log = log
        self._refusal = ""  # why the last request scored alone was refused, without its values
        self._example: Item | None = None
        self._checks_alone = False

    @property
    def can_join(self) -> bool:
        """Whether requests may be joined and scored together."""
        return self._joins

    @property
    def accelerated(self) -> bool:
        """Whether the twin answers requests that the column decoder reads."""
        return self._twin_predictor is not None

    @property
    def failure(self) -> str:
        """A description of the failure of the last request scored alone; empty for none.

        The failure is the model's exception, or the reason why its answer cannot be written.
        """
        if self._instrumented.model_error is not None:
            return describe_error(self._instrumented.model_error, self._instrumented.failed_input)
        return (
            describe_error(self._encoding_error, self._instrumented.raw)
            if self._encoding_error is not None
            else ""
        )

    def drop_inexact_predictors(self, item: Item | None) -> None:
        """Turn off joining or the twin if they do not answer as the model does alone.

        A model whose prediction for a row depends on other rows, for instance to normalize them,
        must get each request alone, as MLflow calls it: its requests are not joined. A twin that
        was proven on another machine must also agree with the model on this machine.

        Args:
            item: The version's input example; None if it has none.
        """
        model, twin = self._model_predictor, self._twin_predictor
        if model is None:
            return
        request = self._read(item) if item is not None else None
        table = request.table._replace(indexed=False) if request is not None else None
        if twin is None and table is None:
            table = made_up_example(self.model.metadata, self._types)
        if table is not None or twin is None:
            found = examine_rows(partial(_answer_as, request, model), table, self._types)
            if found is not Found.INDEPENDENT and (twin is None or found is not Found.UNTRIED):
                self._joins, self._twin_predictor = False, None
                return
        if twin is not None and table is not None and not self._agrees(twin, model, table):
            self._twin_predictor = None

    def _agrees(self, twin: TwinPredictor, model: ModelPredictor, table: Table) -> bool:
        try:
            if twin.agrees(model, table):
                return True
        except Exception as error:  # noqa: BLE001  # onnxruntime may raise anything
            _logger.warning(
                "The twin could not be compared with the model on the input example, so it is not "
                "used: %s", describe_error(error),
            )  # fmt: skip
        else:
            _logger.warning("The twin and the model differ on the input example: it is not used.")
        return False

    def store_example(self, example: Item) -> None:
        """Store the version's input example, which it has answered, for later checks."""
        self._example = example
        read = self._model_predictor is not None
        self._checks_alone = read and self._score_alone(example).status == _OK

    def check(self) -> Result:
        """Score the input example again by each path of requests; no answers without an example.

        Each path has answered the example before, when the version was loaded.
        """
        if self._example is None:
            return Result(0.0, 0.0, 0, [])
        checked = self.score([self._example])
        if self._checks_alone:
            checked.answers.append(self._score_alone(self._example))
        return checked

    def score(self, items: Sequence[Item]) -> Result:
        """Answer each item, in order. No content of an item makes this raise an exception."""
        started = time.perf_counter()
        self._instrumented.seconds = 0.0
        if self._twin_predictor is not None:
            self._twin_predictor.seconds, self._twin_predictor.rows = 0.0, 0
        answers: list[Answer | None] = [None] * len(items)
        groups: dict[Hashable, list[tuple[int, ParsedRequest]]] = {}
        for position, item in enumerate(items):
            request = self._read(item)
            if request is not None:
                key = request.table.key if self._joins else position
                groups.setdefault(key, []).append((position, request))
        for group in groups.values():
            positions, requests = zip(*group, strict=True)
            joined = self._score_joined(requests, [items[position] for position in positions])
            for position, answer in zip(positions, joined, strict=True):
                answers[position] = answer
        complete = [
            self._answer_alone(item) if answer is None else answer
            for item, answer in zip(items, answers, strict=True)
        ]
        if any(item.expected for item in items):
            complete = [
                comparison.compared(answer, item, self._codecs[item.protocol])
                for item, answer in zip(items, complete, strict=True)
            ]
        twin = self._twin_predictor
        twin_seconds, twin_rows = (twin.seconds, twin.rows) if twin is not None else (0.0, 0)
        seconds = time.perf_counter() - started
        return Result(seconds, self._instrumented.seconds + twin_seconds, twin_rows, complete)

    def _read(self, item: Item) -> ParsedRequest | None:
        if self._model_predictor is None:
            return None
        codec = self._codecs[item.protocol]
        try:
            if item.table or item.as_table:
                request = read_staged(item, codec, self._decoder, self._subject(item))
            else:
                request = codec.read(item)
            return marked_answers.checked(request) if request and item.mark_failures else request
        except Exception:  # noqa: BLE001  # the error occurs again, and is reported, alone
            return None

    def _score_joined(
        self, requests: Sequence[ParsedRequest], items: Sequence[Item]
    ) -> Sequence[Answer | None]:
        """Answer joined requests; None for those that must be scored alone."""
        answers: list[Answer | None] = [None] * len(requests)
        for predictor in (self._twin_predictor, self._model_predictor):
            unanswered = [position for position, answer in enumerate(answers) if answer is None]
            if predictor is not None and unanswered:
                predicted = predictor.answer([requests[position] for position in unanswered])
                for position, answer in zip(unanswered, predicted, strict=True):
                    answers[position] = answer
                if self._log is not None and predictor.last is not None:
                    columns, predictions = predictor.last
                    self._log.add_joined(
                        [items[position] for position in unanswered], predicted,
                        [requests[position].table for position in unanswered],
                        columns=dict(zip(self._names, columns, strict=True)),
                        predicted=predictions, predictor=predictor.name,
                    )  # fmt: skip
        return answers

    def _answer_alone(self, item: Item) -> Answer:
        """Score one request alone, log it, and return its answer."""
        answer = self._score_alone(item)
        if self._log is not None:
            model = self._instrumented
            self._log.add_alone(item, answer, model.sent, model.raw, self._refusal)
        return answer

    def _score_alone(self, item: Item) -> Answer:
        """Score one request alone, and return its answer."""
        self._instrumented.reset()
        self._encoding_error = None
        self._refusal = ""
        codec = self._codecs[item.protocol]
        try:
            if item.table or item.as_table:
                answer = score_staged_alone(item, codec, self._instrumented, self._subject(item))
            else:
                answer = codec.score_alone(item, self._instrumented)
        except (RequestRefused, UnsupportedMediaType) as error:
            misfit = item.table and error is self._instrumented.enforcement_error
            self._refusal = "MISFIT" if misfit else getattr(error, "code", "UNSUPPORTED_MEDIA_TYPE")
            return codec.error_answer(self._misfit(item, error) if misfit else error)
        except Exception as error:  # noqa: BLE001  # a model may raise anything, and the host must answer
            refusal = self._client_error(codec, item, error)
            answer = codec.error_answer(refusal)
            failed = self._instrumented.model_error is not None
            self._refusal = MODEL_FAILED_CODE if failed else refusal.code
            return marked_answers.as_failure(answer) if item.mark_failures and failed else answer
        if not item.mark_failures:
            return answer
        rows = self._instrumented.rows
        predicted = ModelPredictions(self._instrumented.raw, rows)
        return marked_answers.marked(answer, predicted, 0, rows)

    def _client_error(self, codec: Codec, item: Item, error: Exception) -> RequestRefused:
        """Convert an error to one for the client: the request's mistake, or the model's failure."""
        if self._instrumented.enforcement_error is not None:
            return self._instrumented.enforcement_error
        if self._instrumented.model_error is not None:
            stack = trace(self._instrumented.model_error, self._instrumented.failed_input)
            _logger.warning("The model failed%s.\n%s", _request_note(item), stack)
            return _hide_failure(self._instrumented.model_error, self._subject(item))
        if item.table and self._instrumented.raw is None:
            return self._misfit(item, error)
        if isinstance(error, MlflowException) and not item.table:
            status = error.get_http_status_code()
            if status < 500 or self._instrumented.reached:
                return _explain_mistake(codec, item, status=status, code=error.error_code)
        if not self._instrumented.reached:
            return _explain_mistake(codec, item)
        self._encoding_error = error
        _logger.error(
            "The model's answer cannot be written%s.\n%s", _request_note(item), trace(error)
        )
        whose = f"answer of the stage {self._title}" if item.as_table else "model's answer"
        return RequestRefused(f"The {whose} cannot be written.", status=500, code=INTERNAL_ERROR)

    def _misfit(self, item: Item, error: Exception) -> RequestRefused:
        """Return the error for rows of the stage before that MLflow's enforcement refused."""
        schema = self.model.metadata.get_input_schema()
        names = schema.input_names() if schema is not None else ()
        reason = describe_error(error, frame_of_item(item), names).rstrip(".")
        refusal = _MISFIT.format(self._title, reason)
        _logger.error("%s", refusal)
        return RequestRefused(refusal, status=500, code=INTERNAL_ERROR)

    def _subject(self, item: Item) -> str:
        """Return the version as the subject of a sentence for the client."""
        return f"The stage {self._title}" if item.as_table else "The model"


def _answer_as(
    example: ParsedRequest | None, model: ModelPredictor, requests: Sequence[ParsedRequest]
) -> list[Answer | None]:
    """Answer as to the example: a stage may answer with what no protocol writes."""
    if example is not None:
        requests = [request._replace(write=example.write) for request in requests]
    return model.answer_or_raise(requests)


def _explain_mistake(
    codec: Codec, item: Item, *, status: int = 400, code: str = BAD_REQUEST
) -> RequestRefused:
    """Explain what is wrong with a request that MLflow refused."""
    try:
        mistake = codec.explain(item)
    except RequestRefused as refused:
        mistake = Mistake(str(refused), tuple(refused.columns), refused.row, refused.expected)
    except Exception as error:  # noqa: BLE001  # a body may hold anything, and must be answered
        _logger.warning(
            "Why a request was refused could not be found out%s.\n%s",
            _request_note(item),
            trace(error),
        )
        mistake = Mistake(GENERAL)
    if status >= 500 and (mistake.columns or mistake.row is not None):
        status, code = 400, BAD_REQUEST  # MLflow calls some mistakes of clients its own
    return RequestRefused(
        mistake.message, status=status, code=code, columns=mistake.columns, row=mistake.row,
        expected=mistake.expected,
    )  # fmt: skip


def _request_note(item: Item) -> str:
    """Format the request's id for a log line; empty without one."""
    return f", on request {item.id}" if item.id else ""


def _hide_failure(error: Exception, subject: str) -> RequestRefused:
    """Convert a model's own error to one for the client, with its status but not its message."""
    if isinstance(error, MlflowException):
        return RequestRefused(
            f"{subject} refused this request; the server's log says why.",
            status=error.get_http_status_code(), code=error.error_code,
        )  # fmt: skip
    return RequestRefused(f"{subject} failed on this request; the server's log says why.")
