"""What a codec does, and what it is told of the model."""

from typing import Protocol

from cloche.serving.host.answers.error_answers import RequestRefused, UnsupportedMediaType
from cloche.serving.host.answers.mistake import Mistake
from cloche.serving.host.instrumented_model import InstrumentedModel
from cloche.serving.host.parsing.parsed_request import ParsedRequest
from cloche.serving.processes.frames import Answer, Item


class Codec(Protocol):
    """One protocol, as far as the host is concerned."""

    def read(self, item: Item) -> ParsedRequest | None:
        """The question in `item`, to be joined with others; None where it must be asked alone."""

    def ask(self, item: Item, model: InstrumentedModel) -> Answer:
        """The answer to `item` by itself.

        Raises:
            RequestRefused: It cannot be scored, and the message says why.
            UnsupportedMediaType: Its content type is not taken.
            Exception: Whatever parsing, MLflow's enforcement or the model raises.
        """

    def explain(self, item: Item) -> Mistake:
        """Why MLflow's parsing or enforcement refused `item`."""

    def refused(self, error: RequestRefused | UnsupportedMediaType) -> Answer:
        """The answer to a request that was refused."""
