"""Google Vertex AI: a custom container, told by `AIP_*` variables.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import json
from collections.abc import Mapping

from cloche.serving.cloud_contract import Cloud, CloudRequest, Contract, Translation, number

_DRAIN_SECONDS = 25.0
VARIABLES = ("AIP_HTTP_PORT", "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE")


def cloud(environment: Mapping[str, str]) -> Cloud:
    """What Vertex AI asks of a container that has this environment.

    Raises:
        SettingsError: A variable cannot be read.
    """
    options = {
        "host": "0.0.0.0",  # noqa: S104  # the contract: Vertex AI asks from outside the container
        "port": number(environment, "AIP_HTTP_PORT", 8080),
        "drain_timeout": _DRAIN_SECONDS,
    }
    if place := environment.get("AIP_STORAGE_URI", "").rstrip("/"):
        options["models"] = (f"model={place}",)
    contract = Contract(
        predict_path=environment.get("AIP_PREDICT_ROUTE") or "/predict",
        health_path=environment.get("AIP_HEALTH_ROUTE") or "/health",
        dialect=_read,
    )
    return Cloud(contract, options)


def _read(asked: CloudRequest, body: bytes, _: list[str]) -> Translation:
    """What Vertex AI calls `parameters` are MLflow's `params`; the rest is the same.

    Bodies that do not name them are not looked into.
    """
    if b'"parameters"' in body and asked.content_type.startswith("application/json"):
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):  # the host says what is wrong
            return Translation(asked.content_type, body)
        if isinstance(payload, dict) and "parameters" in payload:
            parameters = payload.pop("parameters")
            if parameters is not None:
                payload.setdefault("params", parameters)
            body = json.dumps(payload).encode()
    return Translation(asked.content_type, body)
