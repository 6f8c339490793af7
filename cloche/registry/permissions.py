"""Finds the permission that an MLflow server with user accounts requires for a refused request.

MLflow's error names only the endpoint. The method and the parameters, with the model or experiment,
are in the stack frame of the client function that raised the error.
"""

import os
import re
import traceback
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

import mlflow

from cloche.values.passwords import without_password

_ENDPOINT = re.compile(r"API request to endpoint (\S+) failed with error code 403 ")
_URL = re.compile(r"403 Client Error: .*? for url: (\S+)")
_API = re.compile(r".*/api/[\d.]+/mlflow/(.*)")
_PROXIED = re.compile(r".*/api/[\d.]+/mlflow-artifacts/(\w+)/?(.*)")
_MODEL, _EXPERIMENT = "registered_model", "experiment"
# Beginning of a request's path → kind of resource (mlflow/server/auth/__init__.py in 3.17).
_RESOURCES = {
    "registered-models/": _MODEL, "model-versions/": _MODEL, "experiments/": _EXPERIMENT,
    "runs/": _EXPERIMENT, "metrics/": _EXPERIMENT, "artifacts/": _EXPERIMENT,
    "logged-models": _EXPERIMENT,
}  # fmt: skip
_CREATING = ("registered-models/create", "experiments/create")  # no resource yet to grant on
_DELETING = ("runs/delete", "experiments/delete")  # endpoints that delete by POST
_EDITING = ("registered-models/delete-tag",)  # endpoints that edit by DELETE
_READ, _EDIT, _MANAGE = "READ", "EDIT", "MANAGE"


class _Permission(NamedTuple):
    """A permission on a resource; `identity` is empty if the request did not name the resource."""

    level: str
    resource: str
    identity: str


def explain_refusal(error: Exception) -> str:
    """Explain a refusal and how to grant the permission; empty if the error is another one.

    Args:
        error: The error of MLflow's client, for its API or for artifacts that the server proxies.
    """
    text = str(error)
    found = _ENDPOINT.search(text) or _URL.search(text)
    url = urlsplit(found[1].rstrip(".") if found else "")
    api, proxied = _API.fullmatch(url.path), _PROXIED.fullmatch(url.path)
    if proxied:
        path = unquote(proxied[2]) or parse_qs(url.query).get("path", [""])[0]
        request = getattr(getattr(error, "response", None), "request", None)
        reads = proxied[1] == "artifacts" and getattr(request, "method", "GET") == "GET"
        experiment = path.partition("/")[0]
        needed: _Permission | None = _Permission(_READ if reads else _EDIT, _EXPERIMENT, experiment)
    elif api:
        needed = _needed(api[1], *_request(error))
    else:
        return ""
    says = f"The tracking server {_server()} does not let {_user()!r} do this: "
    if needed is None:
        return f"{says}it refused {url.path}. Ask whoever administers it for the right."
    return says + _in_words(needed)


def _request(error: Exception) -> tuple[str, Mapping[str, Any]]:
    """Return the method and parameters of the refused request; empty if they are not found."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code.co_name == "call_endpoint":
            return frame.f_locals["method"], frame.f_locals["json_body"] or {}
    return "", {}


def _needed(path: str, method: str, parameters: Mapping[str, Any]) -> _Permission | None:
    resource = next((of for start, of in _RESOURCES.items() if path.startswith(start)), "")
    if not resource or not method or path in _CREATING:
        return None
    if method == "GET" or path.endswith("search"):
        level = _READ
    elif path in _DELETING or (method == "DELETE" and path not in _EDITING):
        level = _MANAGE
    else:
        level = _EDIT
    key = "name" if resource == _MODEL else "experiment_id"
    return _Permission(level, resource, str(parameters.get(key, "")))


def _in_words(needed: _Permission) -> str:
    level, resource, identity = needed
    words = resource.replace("_", " ")
    of = repr(identity) if identity else ("NAME" if resource == _MODEL else "ID")
    call = f"user_permission({_user()!r}, {resource!r}, {of}"
    parts = [
        f"it needs {level} on {f'the {words} {identity}' if identity else f'the {words}'}.",
        "Whoever administers it grants that in Python: from mlflow.server import get_app_client; "
        f"client = get_app_client('basic-auth', {_server()!r}); client.grant_{call}, {level!r}).",
    ]
    if not identity:
        parts.append(f"{of} is that of the {words}.")
    if level != _READ:
        parts.append(f"A lower one, if there is one, is revoked first: client.revoke_{call}).")
    return " ".join(parts)


def _user() -> str:
    return os.environ.get("MLFLOW_TRACKING_USERNAME", "this user")


def _server() -> str:
    return without_password(str(mlflow.get_tracking_uri()))
