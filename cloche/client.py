"""The Python client that requests predictions: `pip install 'cloche[client]'`."""

from cloche.serving.client.client import AsyncClient, Client
from cloche.serving.client.errors import (
    AnswerTooLarge,
    ClientError,
    DeadlineExceeded,
    NotServed,
    Overloaded,
    Refused,
    RowsRefused,
    ServerFailed,
    Unauthenticated,
    Unreachable,
)
from cloche.serving.client.prediction import Prediction
from cloche.serving.client.retry_policy import Retries

__all__ = [
    "AnswerTooLarge",
    "AsyncClient",
    "Client",
    "ClientError",
    "DeadlineExceeded",
    "NotServed",
    "Overloaded",
    "Prediction",
    "Refused",
    "Retries",
    "RowsRefused",
    "ServerFailed",
    "Unauthenticated",
    "Unreachable",
]
