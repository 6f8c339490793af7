"""The synchronous and the asynchronous client.

A client keeps its connections open, so a program should make one and use it for all requests.
"""

import time
from collections.abc import Mapping
from typing import Any, Self, TypedDict, Unpack
from urllib.parse import quote

import anyio
import httpx2

from cloche.serving.client.prediction import Prediction
from cloche.serving.client.request_state import RequestState
from cloche.serving.client.retry_policy import Retries

_CONNECTIONS = httpx2.Limits(
    max_connections=100, max_keepalive_connections=100, keepalive_expiry=60.0
)

_MAX_ANSWER = 128 * 1024 * 1024


class ClientOptions(TypedDict, total=False):
    """The options of a client.

    Attributes:
        model: The name of the model on the server; without it, the server's only model.
        version: The version that must answer; without it, the version that serves.
        api_key: The API key to send with each request, if the server requires one.
        timeout: The seconds that a request may take with all its attempts; 30 if unset.
        max_answer: The most bytes of a decompressed response body; 128 MiB if unset.
        retries: The retry policy for a server that is busy or unreachable.
    """

    model: str
    version: str
    api_key: str
    timeout: float
    max_answer: int
    retries: Retries


class _ClientBase:
    """The configuration that both clients share, and the interpretation of responses."""

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        version: str = "",
        api_key: str = "",
        timeout: float = 30.0,
        max_answer: int = _MAX_ANSWER,
        retries: Retries | None = None,
    ) -> None:
        if version and not model:
            raise ValueError("A version needs its model: give both.")
        of = f"/versions/{quote(version, safe='')}" if version else ""
        self._path = f"/models/{quote(model, safe='')}{of}/invocations" if model else "/invocations"
        self._timeout = timeout
        self._max_answer = max_answer
        self._retries = retries or Retries()
        self._connecting: dict[str, Any] = {
            "base_url": url,
            "headers": {"authorization": f"Bearer {api_key}"} if api_key else {},
            "limits": _CONNECTIONS,
        }

    def _call(
        self, rows: Any, params: Mapping[str, Any] | None, timeout: float | None
    ) -> RequestState:
        return RequestState(
            rows=rows, params=params, retries=self._retries, started=time.monotonic(),
            timeout=self._timeout if timeout is None else timeout, max_answer=self._max_answer,
        )  # fmt: skip

    def _outcome(
        self, call: RequestState, response: httpx2.Response, body: bytearray
    ) -> Prediction | float:
        outcome = call.read_response(response, body, time.monotonic())
        if isinstance(outcome, Prediction):
            call.seconds_left(time.monotonic())  # parsing a large response takes time, too
        return outcome


class Client(_ClientBase):
    """The synchronous client. Threads may share one."""

    def __init__(
        self, url: str, *, transport: httpx2.BaseTransport | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:  # fmt: skip
        """Make a client of the server at `url`, like http://127.0.0.1:8080; see `ClientOptions`."""
        super().__init__(url, **options)
        self._http = httpx2.Client(transport=transport, **self._connecting)

    def predict(
        self, rows: Any, params: Mapping[str, Any] | None = None, *, timeout: float | None = None
    ) -> Prediction:
        """Request the model's predictions for `rows`.

        Args:
            rows: A DataFrame; a list of records; columns or tensors by name; an array or nested
                lists; or a complete payload of MLflow's scoring protocol.
            params: The inference parameters of the model (`params` in MLflow).
            timeout: The timeout in seconds, if other than the client's.

        Raises:
            ClientError: The request failed; see `cloche.serving.client.errors`.
        """
        call = self._call(rows, params, timeout)
        while True:
            try:
                outcome = self._ask(call)
            except httpx2.RequestError as error:
                outcome = call.retry_after_failure(error, time.monotonic())
            if isinstance(outcome, Prediction):
                return outcome
            time.sleep(outcome)

    def _ask(self, call: RequestState) -> Prediction | float:
        timeout = call.seconds_left(time.monotonic())
        call.attempt += 1
        with self._http.stream(
            "POST", self._path, content=call.body, headers=call.headers, timeout=timeout
        ) as response:
            body = bytearray()
            for part in response.iter_bytes():
                call.append(body, part)
                call.seconds_left(time.monotonic())  # httpx2's timeout is for one read, not for all
        return self._outcome(call, response, body)

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncClient(_ClientBase):
    """The asynchronous client."""

    def __init__(
        self,
        url: str,
        *,
        transport: httpx2.AsyncBaseTransport | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        """Make a client of the server at `url`, like http://127.0.0.1:8080; see `ClientOptions`."""
        super().__init__(url, **options)
        self._http = httpx2.AsyncClient(transport=transport, **self._connecting)

    async def predict(
        self,
        rows: Any,
        params: Mapping[str, Any] | None = None,
        *,
        timeout: float | None = None,  # noqa: ASYNC109  # of all attempts, as in `Client.predict`
    ) -> Prediction:
        """Request the model's predictions for `rows`; see `Client.predict`."""
        call = self._call(rows, params, timeout)
        while True:
            try:
                outcome = await self._ask(call)
            except httpx2.RequestError as error:
                outcome = call.retry_after_failure(error, time.monotonic())
            if isinstance(outcome, Prediction):
                return outcome
            await anyio.sleep(outcome)

    async def _ask(self, call: RequestState) -> Prediction | float:
        timeout = call.seconds_left(time.monotonic())
        call.attempt += 1
        with anyio.move_on_after(timeout):
            async with self._http.stream(
                "POST", self._path, content=call.body, headers=call.headers, timeout=timeout
            ) as response:
                body = bytearray()
                async for part in response.aiter_bytes():
                    call.append(body, part)
            return self._outcome(call, response, body)
        raise call.timeout_error()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()
