"""Whatever a client sends, within the OpenAPI document or beside it: the server answers as it says.

Never a failure of its own, never an answer that the document does not know, and no host is lost.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.online import Server, serving

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("hostile")]

KINDS = ["scalars", "optional", "datetime", "nested", "tensor", "named_tensors", "params", "chat"]
KEY = "a-key"
# MLflow reads some payloads that no schema could describe as right, and refuses some right ones.
UNDECIDABLE = "positive_data_acceptance,negative_data_rejection"


@pytest.fixture(scope="module")
def server(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    named = [*(f"{kind}={zoo / kind}" for kind in KINDS), "--poll-interval", "3600"]
    directory = tmp_path_factory.mktemp("hostile")
    with serving(*named, directory=directory, environment={"CLOCHE_API_KEYS": KEY}) as server:
        server.key = KEY
        yield server.wait_until_ready()


@pytest.mark.breadth  # bodies of every kind that test_wire.py and test_differential.py do not try
def test_every_answer_is_one_that_the_openapi_document_tells(
    server: Server, tmp_path: Path
) -> None:
    schemathesis = Path(sys.executable).with_name("schemathesis")
    run = subprocess.run(
        [
            *(schemathesis, "run", f"{server.url}/openapi.json", "--no-color"),
            *("--header", f"Authorization: Bearer {KEY}", "--exclude-checks", UNDECIDABLE),
            *("--phases", "examples,coverage,fuzzing", "--continue-on-failure"),
            *("--max-examples", "15", "--generation-deterministic"),
            *("--suppress-health-check", "too_slow"),  # the machine may be busy
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert server.metric("cloche_requests_total", code="200") > 0
    assert server.metric("cloche_lost_hosts_total") == 0
