"""The state of one request: its body and headers, the meaning of a response, and the retries.

It does no I/O, so the synchronous and the asynchronous client share it. The monotonic time is an
argument.
"""

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

import httpx2

from cloche.serving.client import payload
from cloche.serving.client.errors import (
    AnswerTooLarge,
    DeadlineExceeded,
    ServerFailed,
    Unreachable,
    error_of_response,
)
from cloche.serving.client.prediction import Prediction
from cloche.serving.client.retry_policy import TEMPORARY_FAILURES, Retries, retry_after


@dataclass(slots=True, kw_only=True)
class RequestState:
    """A request for predictions, with a deadline for all its attempts.

    Attributes:
        rows: The rows to predict.
        params: The inference parameters of the model.
        timeout: The seconds from the start to the end of the last attempt.
        max_answer: The most bytes of a response body.
        started: The time of the start, on the caller's clock.
        retries: The retry policy.
        attempt: The number of attempts so far.
        body: The request body.
        headers: The request headers.
    """

    rows: Any
    params: Mapping[str, Any] | None
    timeout: float
    max_answer: int
    started: float
    retries: Retries
    attempt: int = 0
    body: bytes = field(init=False)
    headers: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.body = payload.body(self.rows, self.params)
        self.headers = {"content-type": "application/json", "x-request-id": uuid.uuid4().hex}

    def seconds_left(self, now: float) -> float:
        """Return the seconds until the deadline.

        Raises:
            DeadlineExceeded: The deadline has passed.
        """
        seconds = self.started + self.timeout - now
        if seconds <= 0:
            raise self.timeout_error()
        return seconds

    def append(self, body: bytearray, part: bytes) -> None:
        """Append a chunk to the body of a response.

        Raises:
            AnswerTooLarge: The body would exceed `max_answer`.
        """
        if len(body) + len(part) > self.max_answer:
            raise AnswerTooLarge(
                f"The answer has more than {self.max_answer} bytes. Ask about fewer rows at a "
                "time, or make the client with a larger max_answer."
            )
        body += part

    def read_response(
        self, response: httpx2.Response, body: bytearray, now: float
    ) -> Prediction | float:
        """Return the predictions in a response, or the seconds to wait before the next attempt.

        Raises:
            ClientError: The response is an error, and there is no further attempt.
        """
        request_id = response.headers.get("x-request-id", self.headers["x-request-id"])
        if response.status_code == httpx2.codes.OK:
            return self._prediction(response, body, request_id)
        wait = retry_after(response.headers, datetime.now(UTC))
        error = error_of_response(response.status_code, body, request_id, wait)
        if error.status == httpx2.codes.GATEWAY_TIMEOUT:
            raise DeadlineExceeded(str(error)) from error
        pause = self._pause(wait, now) if error.status in TEMPORARY_FAILURES else None
        if pause is None:
            raise error
        return pause

    def retry_after_failure(self, error: httpx2.RequestError, now: float) -> float:
        """Return the seconds to wait before the next attempt, after one without a response.

        Raises:
            DeadlineExceeded: The attempt lasted until the deadline.
            Unreachable: There is no further attempt.
        """
        if isinstance(
            error, httpx2.TimeoutException
        ):  # the timeout of an attempt is all the time until the deadline
            raise self.timeout_error() from error
        usable = not isinstance(error, httpx2.UnsupportedProtocol)
        pause = self._pause(None, now) if usable else None
        if pause is None:
            raise Unreachable(
                f"{error.request.url}: {error or type(error).__name__}, after "
                f"{self.attempt} {'attempt' if self.attempt == 1 else 'attempts'}."
            ) from error
        return pause

    def timeout_error(self) -> DeadlineExceeded:
        """Return the exception for a request that took longer than its timeout."""
        return DeadlineExceeded(f"There was no answer within {self.timeout:g} s.")

    def _pause(self, wait: float | None, now: float) -> float | None:
        """Return the seconds to wait; None if no attempt is left before the deadline."""
        pause = self.retries.pause(self.attempt, wait, random.random())  # noqa: S311  # no secret
        return None if pause is None or now + pause >= self.started + self.timeout else pause

    def _prediction(
        self, response: httpx2.Response, body: bytearray, request_id: str
    ) -> Prediction:
        try:
            found = json.loads(body)
        except ValueError as error:
            raise ServerFailed(
                f"{response.url}: the answer is not JSON. Is it the address of a Cloche server?",
                status=response.status_code, request_id=request_id,
            ) from error  # fmt: skip
        values = (
            found["predictions"] if isinstance(found, dict) and "predictions" in found else found
        )
        return Prediction(
            values,
            model=unquote(response.headers.get("x-model-name", "")),
            version=response.headers.get("x-model-version", ""),
            request_id=request_id,
            index=self.rows.index if payload.is_frame(self.rows) else None,
        )
