"""Scores a batch of request bodies with one loaded model.

The steps are: parse, join requests that may be joined, predict, split, encode.

Requests that the column decoder reads are joined by key and predicted together, whatever their
protocols; all others go one by one through MLflow's own enforcement. If joined requests fail, each
is scored again alone, so that a bad request never affects others.
"""

import logging
import time
from collections.abc import Hashable, Sequence

from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel

from cloche.serving.host import row_independence
from cloche.serving.host.answers.error_answers import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    RequestRefused,
    UnsupportedMediaType,
)
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.batch_predictors import ByModel, ByTwin
from cloche.serving.host.codecs.catalog import codecs
from cloche.serving.host.codecs.codec import Codec
from cloche.serving.host.diagnosis.diagnosis import GENERAL
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.column_decoder import ColumnDecoder, Table
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.host.predictors.twin import Twin
from cloche.serving.processes.frames import Answer, Item, Result
from cloche.values.redaction import describe_error, trace

_OK = 200
_logger = logging.getLogger(__name__)


class HostScorer:
    """Scores requests with one loaded version."""

    def __init__(
        self, model: PyFuncModel, decoder: ColumnDecoder | None, twin: Twin | None, *,
        name: str = "", version: str = "",
    ) -> None:  # fmt: skip
        """Create the codecs and predictors; some protocols repeat name and version in answers."""
        self.model = model
        self._model = InstrumentedModel(model)
        self._codecs = codecs(model.metadata, decoder, name=name, version=version)
        self._joins = decoder is not None
        self._unwritten: Exception | None = None
        self._by_model = ByModel(self._model, decoder) if decoder is not None else None
        self._by_twin = ByTwin(twin, decoder) if decoder is not None and twin is not None else None
        self._example: Item | None = None
        self._also_alone = False

    @property
    def can_join(self) -> bool:
        """Whether requests may be joined and scored together."""
        return self._joins

    @property
    def accelerated(self) -> bool:
        """Whether the twin answers requests that the column decoder reads."""
        return self._by_twin is not None

    @property
    def failed(self) -> str:
        """A description of the failure of the last request scored alone; empty for none.

        The failure is the model's exception, or the reason why its answer cannot be written.
        """
        if self._model.failed is not None:
            return describe_error(self._model.failed, self._model.failed_on)
        return (
            describe_error(self._unwritten, self._model.raw) if self._unwritten is not None else ""
        )

    def drop_inexact_predictors(self, item: Item) -> None:
        """Turn off joining or the twin if they do not answer `item` as the model does alone.

        A model whose prediction for a row depends on other rows, for instance to normalize them,
        must get each request alone, as MLflow calls it: its requests are not joined. A twin that
        was proven on another machine must also agree with the model on this machine.
        """
        request = self._read(item)
        if request is None or self._by_model is None:
            return
        table = request.table
        if not self._is_rowwise(self._by_model, table):
            self._joins, self._by_model, self._by_twin = False, None, None
        elif self._by_twin is not None and not self._agrees(self._by_twin, self._by_model, table):
            self._by_twin = None

    def _is_rowwise(self, by_model: ByModel, table: Table) -> bool:
        try:
            if row_independence.is_rowwise(by_model.answer_or_raise, table):
                return True
        except Exception as error:  # noqa: BLE001  # a model may raise anything
            _logger.warning(
                "Whether this model looks across rows could not be found out, so its requests are "
                "not joined: it raised %s", describe_error(error),
            )  # fmt: skip
        else:
            _logger.warning("This model looks across rows: its requests are not joined.")
        return False

    def _agrees(self, by_twin: ByTwin, by_model: ByModel, table: Table) -> bool:
        try:
            if by_twin.agrees(by_model, table):
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
        self._also_alone = self._joins and self._alone(example).status == _OK

    def check(self) -> Result:
        """Score the input example again by each path of requests; no answers without an example.

        Each path has answered the example before, when the version was loaded.
        """
        if self._example is None:
            return Result(0.0, 0.0, 0, [])
        checked = self.score([self._example])
        if self._also_alone:
            checked.answers.append(self._alone(self._example))
        return checked

    def score(self, items: Sequence[Item]) -> Result:
        """Answer each item, in order. No content of an item makes this raise an exception."""
        started = time.perf_counter()
        self._model.seconds = 0.0
        if self._by_twin is not None:
            self._by_twin.seconds, self._by_twin.rows = 0.0, 0
        answers: list[Answer | None] = [None] * len(items)
        groups: dict[Hashable, list[tuple[int, ParsedRequest]]] = {}
        for position, item in enumerate(items):
            request = self._read(item)
            if request is not None:
                groups.setdefault(request.table.key, []).append((position, request))
        for group in groups.values():
            positions, requests = zip(*group, strict=True)
            for position, answer in zip(positions, self._together(requests), strict=True):
                answers[position] = answer
        whole = [
            self._alone(item) if answer is None else answer
            for item, answer in zip(items, answers, strict=True)
        ]
        in_twin, rows = (t.seconds, t.rows) if (t := self._by_twin) else (0.0, 0)
        seconds = time.perf_counter() - started
        return Result(seconds, self._model.seconds + in_twin, rows, whole)

    def _read(self, item: Item) -> ParsedRequest | None:
        if not self._joins:
            return None
        try:
            return self._codecs[item.protocol].read(item)
        except Exception:  # noqa: BLE001  # the error occurs again, and is reported, alone
            return None

    def _together(self, requests: Sequence[ParsedRequest]) -> Sequence[Answer | None]:
        """Answer joined requests; None for those that must be scored alone."""
        answers: list[Answer | None] = [None] * len(requests)
        for predictor in (self._by_twin, self._by_model):
            left = [position for position, answer in enumerate(answers) if answer is None]
            if predictor is not None and left:
                given = predictor.answer([requests[position] for position in left])
                for position, answer in zip(left, given, strict=True):
                    answers[position] = answer
        return answers

    def _alone(self, item: Item) -> Answer:
        """Score one request alone, and return its answer."""
        self._model.reset()
        self._unwritten = None
        codec = self._codecs[item.protocol]
        try:
            return codec.score_alone(item, self._model)
        except (RequestRefused, UnsupportedMediaType) as error:
            return codec.refused(error)
        except Exception as error:  # noqa: BLE001  # a model may raise anything, and the host must answer
            return codec.refused(self._refusal(codec, item, error))

    def _refusal(self, codec: Codec, item: Item, error: Exception) -> RequestRefused:
        """Convert an error to one for the client: the request's mistake, or the model's failure."""
        if self._model.refused is not None:
            return self._model.refused
        if self._model.failed is not None:
            seen = trace(self._model.failed, self._model.failed_on)
            _logger.warning("The model failed%s.\n%s", _on(item), seen)
            return _failure(self._model.failed)
        if isinstance(error, MlflowException):
            status = error.get_http_status_code()
            if status < 500 or self._model.reached:
                return _mistake(codec, item, status=status, code=error.error_code)
        if not self._model.reached:
            return _mistake(codec, item)
        self._unwritten = error
        _logger.error("The model's answer cannot be written%s.\n%s", _on(item), trace(error))
        return RequestRefused(
            "The model's answer cannot be written.", status=500, code=INTERNAL_ERROR
        )


def _mistake(
    codec: Codec, item: Item, *, status: int = 400, code: str = BAD_REQUEST
) -> RequestRefused:
    """Explain what is wrong with a request that MLflow refused."""
    try:
        found = codec.explain(item)
    except RequestRefused as refused:
        found = Mistake(str(refused), tuple(refused.columns), refused.row, refused.expected)
    except Exception as error:  # noqa: BLE001  # a body may hold anything, and must be answered
        _logger.warning(
            "Why a request was refused could not be found out%s.\n%s", _on(item), trace(error)
        )
        found = Mistake(GENERAL)
    return RequestRefused(
        found.message, status=status, code=code, columns=found.columns, row=found.row,
        expected=found.expected,
    )  # fmt: skip


def _on(item: Item) -> str:
    """Format the request's id for a log line; empty for the input example, which has no id."""
    return f", on request {item.id}" if item.id else ""


def _failure(error: Exception) -> RequestRefused:
    """Convert a model's own error to one for the client, with its status but not its message."""
    if isinstance(error, MlflowException):
        return RequestRefused(
            "The model refused this request; the server's log says why.",
            status=error.get_http_status_code(), code=error.error_code,
        )  # fmt: skip
    return RequestRefused("The model failed on this request; the server's log says why.")
