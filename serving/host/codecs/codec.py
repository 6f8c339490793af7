"""The interface of codecs."""

from typing import Any, Protocol

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.parsed_request import ParsedRequest, Write
from cloche.serving.processes.frames import Answer, Item


class Codec(Protocol):
    """The reader and writer of the bodies of one protocol."""

    def read(self, item: Item) -> ParsedRequest | None:
        """Parse the request in `item`, to be batched; None if it must be scored alone."""

    def score_alone(self, item: Item, model: InstrumentedModel) -> Answer:
        """Score the request in `item` alone, and return its answer.

        Raises:
            RequestRefused: The request cannot be scored; the message says why.
            UnsupportedMediaType: The content type is not supported.
            Exception: Any error of parsing, of MLflow's enforcement or of the model.
        """

    def predict_alone(self, item: Item, model: InstrumentedModel) -> None:
        """Predict for the request in `item` alone, without writing an answer.

        Raises:
            Exception: As `score_alone`.
        """

    def writer(self, item: Item) -> tuple[Write, dict[str, Any] | None]:
        """Return what writes the answer to the request in `item`, and its parameters.

        Raises:
            RequestRefused: The request is not valid.
        """

    def explain(self, item: Item) -> Mistake:
        """Explain why MLflow's parsing or enforcement refused the request in `item`."""

    def values(self, body: bytes, json_size: int) -> Any:
        """Return the predictions in an answer as lists, dicts and plain values, to compare them.

        Args:
            body: The body of an answer that a version of the model has given by this codec.
            json_size: The length of the JSON at its start, if binary data follow; else 0.
        """

    def error_answer(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """Return the answer to a request that was refused with `error`."""
