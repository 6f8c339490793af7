"""HTTP client of the server that a target names: its state and its predictions."""

import os
import shlex
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import INVALID_STATE, TEMPORARILY_UNAVAILABLE, UNAUTHENTICATED

_TIMEOUT = 10.0
_PREDICT_TIMEOUT = 120.0
_PAUSE = 0.2

State = dict[str, Any]


class ServerProcess:
    """A running `cloche serve`.

    Requests carry the API key in the environment variable CLOCHE_API_KEY, if it is set.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        if key := os.environ.get("CLOCHE_API_KEY"):
            self._session.headers["Authorization"] = f"Bearer {key}"

    def state(self) -> State:
        """Return the JSON of `/readyz`.

        Raises:
            MlflowException: No Cloche server answers at the URL.
        """
        try:
            found: State = self._session.get(f"{self.url}/readyz", timeout=_TIMEOUT).json()
            found["models"].items()
        except (
            requests.RequestException,
            ValueError,
            KeyError,
            AttributeError,
            TypeError,
        ) as error:
            raise MlflowException(
                f"No server of Cloche answers at {self.url}. Start one with `cloche serve --all`, "
                "name another as -t cloche:/http://HOST:PORT, or leave the server to itself with "
                "-C wait=0.",
                error_code=TEMPORARILY_UNAVAILABLE,
            ) from error
        return found

    def predict(self, name: str, body: bytes) -> str:
        """Return the response to a prediction request for model `name`.

        Raises:
            MlflowException: The server refuses the request, or does not answer.
        """
        url = f"{self.url}/models/{quote(name, safe='')}/invocations"
        headers = {"Content-Type": "application/json"}
        try:
            answer = self._session.post(url, body, headers=headers, timeout=_PREDICT_TIMEOUT)
        except requests.RequestException:
            self.state()  # raises an error with the fix if no server answers
            raise MlflowException(
                f"{url} did not answer within {_PREDICT_TIMEOUT:g} s; the server's log says why.",
                error_code=TEMPORARILY_UNAVAILABLE,
            ) from None
        if answer.status_code != 200:
            raise _error_of_response(answer)
        return answer.text

    def wait_for(self, name: str, version: str | None, seconds: float) -> State:
        """Wait until the server serves a version, and return its state.

        Without a version, wait until the server no longer serves the model.

        Raises:
            MlflowException: The version cannot serve, or the timeout has passed.
        """

        def arrived(state: State) -> bool:
            model = state["models"].get(name)
            if version is None or model is None:
                return (model is None) == (version is None)
            problem = model["problem"] or ""
            if problem.startswith(f"Version {version} cannot serve"):
                raise MlflowException(f"{self.url}: {problem}", error_code=INVALID_STATE)
            return bool(model["ready"] and model["version"] == version)

        return self._poll(name, arrived, seconds)

    def _poll(self, name: str, arrived: Callable[[State], bool], seconds: float) -> State:
        end = time.monotonic() + seconds
        while not arrived(state := self.state()):
            if time.monotonic() > end:
                look = shlex.join(["get", "-t", f"cloche:/{self.url}", "--name", name])
                raise MlflowException(
                    f"{self.url} does not follow after {seconds:g} s; its log says why. The alias "
                    f"has moved: look again with `mlflow deployments {look}`, or move it back.",
                    error_code=TEMPORARILY_UNAVAILABLE,
                )
            time.sleep(_PAUSE)
        return state


def _error_of_response(answer: requests.Response) -> MlflowException:
    if answer.status_code == 401:
        return MlflowException(
            f"{answer.url} asks for an API key: export CLOCHE_API_KEY=KEY, one of the server's.",
            error_code=UNAUTHENTICATED,
        )
    try:
        return RestException(answer.json())
    except (ValueError, TypeError, AttributeError):
        program = answer.headers.get("server", "another program")
        return MlflowException(
            f"{answer.url} answered {answer.status_code}, and not as a server of Cloche does: it "
            f"is {program}. Name one as -t cloche:/http://HOST:PORT, or start the server behind it "
            "with `cloche serve --all`."
        )
