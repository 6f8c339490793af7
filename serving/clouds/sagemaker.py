"""Amazon SageMaker: a container started as `IMAGE serve`, for endpoints and transform jobs.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-batch-code.html
"""

import json
from collections.abc import Mapping
from pathlib import Path

from cloche.serving.cloud_contract import Cloud, Contract, number
from cloche.serving.clouds import json_lines
from cloche.serving.errors import SettingsError
from cloche.serving.settings import MIB

_BASE = "/opt/ml"  # SageMaker's toolkits change it with SAGEMAKER_BASE_DIR, for tests
_DRAIN_SECONDS = 25.0  # SIGKILL comes 30 s after SIGTERM
_BATCH_SECONDS = 600.0
_BATCH_BODY = 2048 * MIB  # where SAGEMAKER_MAX_PAYLOAD_IN_MB is 0, that is without a limit
_BODY = 16 * MIB
_STRATEGIES = ("SINGLE_RECORD", "MULTI_RECORD")


def cloud(environment: Mapping[str, str]) -> Cloud:
    """SageMaker's contract and options for a container with this environment.

    Raises:
        SettingsError: A variable cannot be parsed.
    """
    model = Path(environment.get("SAGEMAKER_BASE_DIR") or _BASE) / "model"
    options = {
        "models": (f"model={model}",),
        "host": "0.0.0.0",  # noqa: S104  # SageMaker connects from outside the container
        "port": number(environment, "SAGEMAKER_BIND_TO_PORT", 8080),
        "drain_timeout": _DRAIN_SECONDS,
    }
    if environment.get("SAGEMAKER_BATCH", "").lower() == "true":
        payload = number(environment, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 6) * MIB
        options |= {
            "request_timeout": _BATCH_SECONDS,
            "max_body": max(payload, _BODY) if payload else _BATCH_BODY,
        }
    contract = Contract(
        predict_path="/invocations",
        health_path="/ping",
        dialect=json_lines.read,
        pages={"/execution-parameters": json.dumps(_parameters(environment)).encode()},
    )
    return Cloud(contract, options)


def _parameters(environment: Mapping[str, str]) -> dict[str, int | str]:
    """The defaults for a transform job; parallel requests are fine, as the server batches them."""
    strategy = environment.get("SAGEMAKER_BATCH_STRATEGY") or "MULTI_RECORD"
    if strategy not in _STRATEGIES:
        raise SettingsError(
            f"SAGEMAKER_BATCH_STRATEGY={strategy}: it must be {' or '.join(_STRATEGIES)}."
        )
    return {
        "MaxConcurrentTransforms": number(environment, "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS", 8),
        "BatchStrategy": strategy,
        "MaxPayloadInMB": number(environment, "SAGEMAKER_MAX_PAYLOAD_IN_MB", 6),
    }
