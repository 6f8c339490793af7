"""The names that programs may import, frozen: a change here is a change for users."""

import inspect
import subprocess
import sys

import pytest

import cloche.asgi
import cloche.client
from cloche.client import AsyncClient, Client, Prediction, Retries
from cloche.serving.client.client import ClientOptions

CLIENT = [
    "AnswerTooLarge", "AsyncClient", "Client", "ClientError", "DeadlineExceeded", "NotServed",
    "Overloaded", "Prediction", "Refused", "Retries", "RowsRefused", "ServerFailed",
    "Unauthenticated", "Unreachable",
]  # fmt: skip


def test_the_names_are_these():
    assert cloche.client.__all__ == CLIENT
    assert cloche.asgi.__all__ == ["Cloche", "Settings"]


def test_a_client_is_told_this():
    options = ["model", "version", "api_key", "timeout", "max_answer", "retries"]
    assert list(ClientOptions.__annotations__) == options
    for kind in (Client, AsyncClient):
        assert list(inspect.signature(kind).parameters) == ["url", "transport", "options"]
        predict = inspect.signature(kind.predict)
        assert list(predict.parameters) == ["self", "rows", "params", "timeout"]


def test_an_option_that_there_is_not_is_no_option():
    with pytest.raises(TypeError, match="modle"):
        Client("http://127.0.0.1:1", modle="m")


def test_an_answer_tells_this():
    names = ["values", "model", "version", "request_id", "index"]
    assert list(inspect.signature(Prediction).parameters) == names
    assert list(inspect.signature(Retries).parameters) == ["attempts", "first", "longest"]


@pytest.mark.parametrize("module", ["cloche.client", "cloche.asgi"])
def test_importing_it_brings_no_model_library(module):
    heavy = "{'mlflow', 'numpy', 'pandas'}"
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert told.stdout.strip() == "[]"
