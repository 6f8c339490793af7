"""KServe's own client: V1, which is TensorFlow Serving's REST API, and V2."""

import json
import subprocess
from typing import Any

import pytest

from tests import kserve
from tests.protocol.others.clients import Protocols, bearer

pytestmark = [pytest.mark.slow, pytest.mark.breadth, pytest.mark.xdist_group("protocols")]

# What a user of the client writes; it says what it was told as JSON.
PROGRAM = """
import asyncio, json, sys
from kserve import InferenceRESTClient, RESTConfig

asked = json.loads(sys.argv[1])
client = InferenceRESTClient(RESTConfig(protocol=asked["protocol"], retries=0))
about = {"base_url": asked["url"], "model_name": asked["model"], "headers": asked["headers"]}

async def main():
    ready = await client.is_model_ready(**about)
    try:
        answer = await client.infer(data=asked["data"], **about)
    except Exception as error:
        return {"ready": ready, "failed": type(error).__name__, "says": str(error)}
    if asked["protocol"] == "v2":
        answer = {one.name: one.data for one in answer.outputs}
    return {"ready": ready, "answer": answer}

print(json.dumps(asyncio.run(main())))
"""


def ask(protocols: Protocols, protocol: str, model: str, data: Any) -> dict[str, Any]:
    about = {
        "protocol": protocol, "url": protocols.server.url, "model": model, "data": data,
        "headers": bearer(),
    }  # fmt: skip
    command = [kserve.python(), "-c", PROGRAM, json.dumps(about)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_rows_are_answered_by_v1(protocols: Protocols) -> None:
    rows = [{"a": 0.5, "b": 1.0}, {"a": 2.0, "b": 3.0}]
    told = ask(protocols, "v1", "frame", {"instances": rows})
    assert told["ready"]
    assert [row["prediction"] for row in told["answer"]["predictions"]] == [True, True]


def test_a_bad_row_is_an_error_of_v1(protocols: Protocols) -> None:
    told = ask(protocols, "v1", "frame", {"instances": [{"a": "no number", "b": 1.0}]})
    assert told["ready"]
    assert told["failed"] == "HTTPStatusError"
    assert "400" in told["says"]


def test_tensors_are_answered_by_v2(protocols: Protocols) -> None:
    inputs = [
        {"name": name, "shape": [2], "datatype": "FP64", "data": data}
        for name, data in (("a", [0.5, 2.0]), ("b", [1.0, 3.0]))
    ]
    told = ask(protocols, "v2", "frame", {"inputs": inputs})
    assert told["ready"]
    assert told["answer"]["prediction"] == [True, True]
