"""Google Vertex AI: a custom container, configured by `AIP_*` variables.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements
"""

import json
from collections.abc import Mapping

from cloche.serving.cloud_contract import Cloud, CloudRequest, Contract, Translation, number

_DRAIN_SECONDS = 25.0
VARIABLES = ("AIP_HTTP_PORT", "AIP_PREDICT_ROUTE", "AIP_HEALTH_ROUTE")


def cloud(environment: Mapping[str, str]) -> Cloud:
    """Vertex AI's contract and options for a container with this environment.

    Raises:
        SettingsError: A variable cannot be parsed.
    """
    options = {
        "host": "0.0.0.0",  # noqa: S104  # Vertex AI connects from outside the container
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
    """Rename Vertex AI's `parameters` to MLflow's `params`; the rest is the same.

    Bodies without that name are not parsed.
    """
    if b'"parameters"' in body and asked.content_type.startswith("application/json"):
        try:
            payload = json.loads(body)
        except (ValueError, RecursionError):  # the model host reports the error
            return Translation(asked.content_type, body)
        if isinstance(payload, dict) and "parameters" in payload:
            parameters = payload.pop("parameters")
            if parameters is not None:
                payload.setdefault("params", parameters)
            body = json.dumps(payload).encode()
    return Translation(asked.content_type, body)
